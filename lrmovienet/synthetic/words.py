"""The words from which scenes and labels are made.

Within a list, a comma ends a concept and a slash stands between names of the same thing. A group's
name is itself a label (what a tagger says when it sees no more than that). Groups also tie
concepts to genres, see `GENRE_GROUPS`.
"""

PERSONS = {
    "soldier": """infantryman/rifleman, sniper, army captain, medic, deserter, war prisoner,
        recruit, sergeant, tank driver, drummer boy, veteran, resistance fighter, spy/secret
        agent""",
    "lawman": """detective/investigator, sheriff, police officer/patrolman, prosecutor, judge,
        bailiff, bounty hunter, prison guard, border guard, federal agent, inspector, bodyguard""",
    "criminal": """thief/burglar, gangster/mobster, smuggler, kidnapper, hitman/assassin, forger,
        bandit, getaway driver, drug dealer, con artist/swindler, arsonist, hacker, outlaw,
        pirate""",
    "relative": """mother, father, grandfather, grandmother, twin sister, older brother, uncle,
        aunt, orphan, widow, newborn baby, stepmother, schoolboy, daughter, groom, bride,
        godfather""",
    "performer": """singer, pianist, violinist, dancer/ballerina, actor, magician, clown,
        guitarist, conductor, drummer, opera star, acrobat, street musician/busker, choir boy,
        puppeteer""",
    "athlete": """boxer/prizefighter, goalkeeper, runner/sprinter, coach/trainer, swimmer, jockey,
        cyclist, wrestler, referee, figure skater, racing driver, gymnast, tennis champion""",
    "worker": """farmer, waiter, taxi driver/cabbie, baker, miner, blacksmith, nurse, mechanic,
        janitor, carpenter, cook/chef, fisherman, postman, gardener, tailor, librarian,
        bartender, barber""",
    "official": """king/monarch, queen, president, ambassador/envoy, mayor, general, bishop,
        prince, senator, priest, governor, duke, princess, lawyer/attorney, banker, chancellor""",
    "scholar": """scientist/researcher, professor, doctor/physician, astronomer, engineer,
        student, teacher, inventor, historian, pilot/aviator, astronaut/cosmonaut, surgeon,
        journalist/reporter""",
    "creature": """ghost/phantom, vampire, robot/android, alien, witch, wizard/sorcerer, werewolf,
        zombie, dragon, elf, mutant, demon, fairy, giant, talking dog, clone""",
    "traveller": """cowboy/rancher, explorer, sailor/seaman, hitchhiker, refugee, pilgrim,
        tourist, nomad, stagecoach driver, treasure hunter, settler/pioneer, mountaineer,
        stowaway, drifter""",
}

SETTINGS = {
    "battlefield": """trench, bunker, army camp, minefield, ruined village, field hospital,
        barracks, fortress, checkpoint, beachhead, prison camp, watchtower""",
    "frontier": """saloon, ranch, canyon, gold mine, desert trail, railway depot, general store,
        stable, cattle corral, stagecoach road, wooden chapel, river crossing""",
    "stage": """theatre/playhouse, concert hall, nightclub/dance club, rehearsal room, recording
        studio, circus tent, dressing room, jazz bar, film studio, opera house, ballroom""",
    "sports ground": """stadium/arena, boxing ring, locker room, swimming pool, race
        track/speedway, gym, ice rink, tennis court, training camp, football field, ski slope,
        golf course""",
    "home": """kitchen, bedroom, living room/parlour, attic/loft, basement/cellar, farmhouse,
        nursery, backyard, apartment, mansion/manor, garage, dining room, cottage, balcony,
        porch""",
    "haunted place": """graveyard/cemetery, crypt, asylum, dark corridor, old mill, swamp, tower,
        abandoned hotel, cabin in the woods, chapel ruin, morgue, dungeon, boarded house""",
    "city street": """alley/back lane, bridge/overpass, subway station/metro stop, rooftop,
        market/bazaar, crossroads, parking lot, harbour/dockyard, train station, bus stop,
        square/plaza, pier, petrol station, construction site, phone booth""",
    "office": """police station, courtroom, bank, hospital ward, laboratory, library, newsroom,
        prison cell, school classroom, embassy, conference room, interrogation room, archive,
        post office""",
    "wild country": """forest/woodland, beach/shore, mountain pass, jungle/rainforest, frozen
        lake, meadow, cave/cavern, waterfall, glacier, island, desert, cliff, river bank,
        volcano, valley""",
    "public room": """restaurant, hotel lobby, casino, church, museum/gallery, pub/tavern, shop,
        cafe/coffee house, palace hall, airport lounge, warehouse/storehouse, factory, bakery,
        throne room, cinema""",
    "craft": """spaceship/starship, submarine, aircraft cabin, train carriage, ship deck, lorry
        cab, control room, engine room, space station, lifeboat, police van, helicopter,
        sailing boat, tram""",
}

PROPS = {
    "weapon": """rifle/carbine, pistol/handgun, sword/sabre, dagger/knife, grenade, crossbow,
        axe/hatchet, baseball bat, machine gun, bow and arrow, whip, bayonet, shotgun, spear""",
    "document": """letter/note, map/chart, passport, newspaper, diary/journal, contract,
        photograph/snapshot, telegram, treasure map, wanted poster, ledger, book/novel,
        blueprint, envelope, ticket""",
    "instrument": """guitar, violin/fiddle, piano, trumpet, drum, accordion, flute, banjo, cello,
        harmonica, microphone, saxophone, gramophone, music box""",
    "sports gear": """football, boxing glove, trophy/cup, tennis racket, stopwatch, bicycle,
        skateboard, hockey stick, medal, helmet, whistle, golf club, surfboard, sledge""",
    "toy": """doll, teddy bear, kite, rocking horse, balloon, puppet, toy train, marble, paper
        boat, spinning top, jigsaw puzzle, snow globe, swing""",
    "vehicle": """car/automobile, motorcycle/motorbike, lorry/truck, wagon/cart, horse carriage,
        tank, ambulance, taxi/cab, rowing boat, fire engine, scooter, limousine, jeep, hot air
        balloon""",
    "container": """suitcase, box/crate, barrel, briefcase, bottle/flask, basket, safe/strongbox,
        coffin, treasure chest, bucket, backpack/rucksack, jar, vase, cage, glass bowl, sack""",
    "device": """telephone, radio, camera, computer/laptop, lantern/lamp, clock, telescope,
        typewriter, compass, time bomb, remote control, flashlight/torch, walkie talkie,
        spyglass, projector, hologram""",
    "clothing": """hat/cap, coat/overcoat, mask, dress/gown, scarf, boots, uniform, crown,
        umbrella, glove, veil, necklace, wedding ring, apron, cloak/cape, spectacles, wig,
        badge""",
    "food": """cake, loaf of bread, bowl of soup, apple, cup of tea, wine glass, birthday cake,
        ice cream, roast turkey, bag of sweets, sandwich, cheese, milk bottle, basket of fruit,
        pie""",
    "tool": """shovel/spade, rope, ladder, hammer, key, saddle, broom/besom, fishing rod, chain,
        candle, scissors, mirror, crutch, wheelchair, paint brush, handcuffs, lasso, needle,
        magnifying glass, pocket watch""",
    "relic": """crystal ball, magic wand, skull, amulet/talisman, statue/sculpture, gold coin,
        diamond/gemstone, scroll, cross/crucifix, potion, golden idol, ancient urn, glowing
        orb, bone, feather""",
}

OBJECTS = {
    "furniture": """table, chair, wardrobe, bookshelf, sofa/couch, bench, desk, bunk bed, stool,
        cradle, cupboard, carpet, curtain, chandelier, picture frame, staircase, fireplace,
        piano stool, armchair, rug""",
    "street furniture": """street lamp, traffic light, road sign, hydrant, fence, billboard,
        letter box, railing, dustbin, parked van, shop window, flag, awning, manhole, brick
        wall, neon sign, puddle, clock tower""",
    "plant": """oak tree/oak, bush/shrub, rose, ivy, pine tree/pine, cactus, palm tree/palm,
        sunflower, moss, fern, dead tree, hedge, tall grass, reed, wheat, vine, mushroom,
        potted plant""",
    "animal": """horse/stallion, dog/hound, cat, crow/raven, owl, rat, pigeon, cow, snake, wolf,
        goat, butterfly, spider, mule, seagull, bat, donkey, chicken, fox""",
    "sky": """cloud, moon, star, sun, rainbow, smoke, lightning, aeroplane, satellite, mist,
        snowflake, falling ash, searchlight, comet""",
    "crowd": """spectators, passers-by, marching men, dancing couples, children playing, mourners,
        passengers, dinner guests, protesters, villagers, students, prisoners, workers""",
    "ground": """gravel, sand, mud, cobblestone, snow, stone floor, wooden plank, railway track,
        rubble, barbed wire, sandbag, dry leaf, pebble, water, tiled floor, crater""",
    "equipment": """generator, control panel, pipe, cable, antenna, loudspeaker, scaffold, crane,
        fuel drum, tool box, monitor, test tube, fan, scoreboard, spotlight, cannon, tent,
        wheel, oil lamp""",
}

MOODS = {
    "feeling": """grief/sorrow, joy, fear/dread, hope, jealousy/envy, rage/anger,
        loneliness/solitude, nostalgia, love, guilt/remorse, suspicion, pride, courage/bravery,
        despair, tenderness, relief, betrayal, greed, shame, loyalty, homesickness, triumph,
        curiosity, longing, mercy, madness""",
    "atmosphere": """silence/hush, tension/suspense, chaos/mayhem, celebration, mystery, menace,
        romance, calm, gloom, festivity, panic, magic, danger/peril, boredom, excitement,
        melancholy, solemnity, comedy, horror, freedom, rivalry, secrecy, urgency, innocence,
        intrigue, decay""",
    "time of day": """night/midnight, dawn/sunrise, dusk/twilight, noon, sunset, morning, evening,
        afternoon, moonlight, daylight, candlelight, small hours""",
    "weather": """rain/drizzle, storm/gale, snowfall, fog, heat, frost, thunder, wind, drought,
        sunshine, blizzard, haze, hail, sandstorm""",
    "season": """winter, summer, autumn/fall, spring, harvest time, christmas, new year, wartime,
        holiday, halloween""",
}

EVENTS = {
    "combat": """battle/combat: fights: fighting: a battle; ambush: ambushes: ambushing: a convoy;
        siege: storms: storming: the gate; retreat: leads: leading: a retreat; air
        raid/bombing: survives: surviving: an air raid; surrender: raises: raising: a white
        flag; invasion/landing: joins: joining: the invasion; patrol: goes: going: on patrol;
        duel: fights: fighting: a duel; last stand: makes: making: a last stand; sabotage:
        blows up: blowing up: a bridge; gunfight/shootout: wins: winning: a gunfight""",
    "crime": """robbery/heist: robs: robbing: a bank; murder/killing: plans: planning: a murder;
        kidnapping/abduction: kidnaps: kidnapping: a child; smuggling: smuggles: smuggling:
        stolen goods; forgery: forges: forging: a signature; blackmail: blackmails:
        blackmailing: a rival; break-in/burglary: breaks: breaking: into a house; ransom: pays:
        paying: a ransom; arson: sets: setting: a fire; bribery: offers: offering: a bribe;
        train robbery: holds up: holding up: a train; fraud/swindle: runs: running: a swindle""",
    "police work": """arrest: arrests: arresting: a suspect; interrogation/questioning: questions:
        questioning: a witness; stakeout: keeps: keeping: watch all night; trial/court case:
        faces: facing: a trial; search: searches: searching: for clues; raid: leads: leading: a
        raid; verdict: hears: hearing: the verdict; confession: makes: making: a confession;
        manhunt: joins: joining: a manhunt; autopsy: examines: examining: a body; undercover
        work: goes: going: undercover; hostage talks: bargains: bargaining: for a hostage""",
    "chase": """car chase: races: racing: through traffic; escape/getaway: escapes: escaping: from
        prison; foot pursuit: runs: running: for dear life; hunt: hunts: hunting: a beast;
        rescue: rescues: rescuing: a stranger; stampede: outruns: outrunning: a stampede;
        hiding: hides: hiding: from pursuers; crash/collision: walks: walking: away from a
        crash; jump/leap: jumps: jumping: from a roof; tracking: follows: following: a trail;
        horseback ride: rides: riding: a horse; border crossing: crosses: crossing: the border""",
    "family life": """reunion: meets: meeting: a lost relative; wedding: attends: attending: a
        wedding; funeral/burial: mourns: mourning: a friend; birthday party: celebrates:
        celebrating: a birthday; family dinner: shares: sharing: a meal; bedtime story: tells:
        telling: a story; birth/childbirth: welcomes: welcoming: a baby; divorce: asks: asking:
        for a divorce; adoption: adopts: adopting: a child; homecoming: comes: coming: home;
        house move: packs: packing: up the house; picnic: enjoys: enjoying: a picnic; baking:
        bakes: baking: a cake""",
    "romance scene": """kiss: steals: stealing: a kiss; marriage proposal: proposes: proposing:
        marriage; first date: goes: going: on a first date; love affair: hides: hiding: a love
        affair; farewell/parting: says: saying: a last farewell; break-up: ends: ending: a love
        affair; flirting: flirts: flirting: over a drink; serenade: sings: singing: a serenade;
        elopement: elopes: eloping: at dawn; slow dance: dances: dancing: cheek to cheek; love
        letter: writes: writing: a love letter""",
    "show": """concert/recital: gives: giving: a concert; audition/tryout: attends: attending: an
        audition; rehearsal: rehearses: rehearsing: a number; dance contest: enters: entering:
        a dance contest; song/duet: sings: singing: a duet; stage fright: overcomes:
        overcoming: stage fright; standing ovation: earns: earning: an ovation; magic trick:
        performs: performing: a trick; recording session: records: recording: a song; parade:
        marches: marching: in a parade; opening night: opens: opening: the show; masked ball:
        attends: attending: a masked ball""",
    "contest": """boxing match/prizefight: wins: winning: a boxing match; race: runs: running: a
        race; training/workout: trains: training: for a final; penalty kick: takes: taking: a
        penalty kick; championship/title fight: loses: losing: a championship; comeback: makes:
        making: a comeback; team talk: gives: giving: a pep talk; horse race: bets: betting: on
        a horse race; injury: suffers: suffering: an injury; victory/win: celebrates:
        celebrating: a victory; card game/poker: cheats: cheating: at cards; chess game: plays:
        playing: chess""",
    "haunting": """seance: holds: holding: a seance; exorcism: performs: performing: an exorcism;
        nightmare: wakes: waking: from a nightmare; possession: falls: falling: under a spell;
        curse: breaks: breaking: a curse; transformation: turns: turning: into a monster;
        ritual/ceremony: begins: beginning: a ritual; vision: sees: seeing: a vision;
        apparition: meets: meeting: a spirit; grave robbing: opens: opening: a grave; monster
        attack: flees: fleeing: a monster; resurrection: rises: rising: from the dead""",
    "discovery": """experiment: carries out: carrying out: an experiment; space launch: boards:
        boarding: a rocket; excavation/dig: digs up: digging up: a tomb; invention: builds:
        building: a machine; alien contact: contacts: contacting: an alien; time travel:
        travels: travelling: through time; treasure hunt: searches: searching: for treasure;
        code breaking: breaks: breaking: a code; shipwreck: survives: surviving: a shipwreck;
        voyage: sets: setting: sail; gold rush: pans: panning: for gold; first flight: flies:
        flying: a plane; system hack: hacks: hacking: a computer""",
    "public affair": """coronation: crowns: crowning: a ruler; speech/address: gives: giving: a
        speech; election: wins: winning: an election; protest/demonstration: leads: leading: a
        protest; treaty signing: signs: signing: a treaty; revolution/uprising: starts:
        starting: a revolution; execution: awaits: awaiting: an execution; banquet/feast:
        hosts: hosting: a banquet; assassination attempt: foils: foiling: an attempt on the
        king; press conference: answers: answering: the press; strike: calls: calling: a
        strike; exile: goes: going: into exile""",
    "quarrel": """argument/dispute: argues: arguing: over money; fist fight/brawl: starts:
        starting: a brawl; apology: begs: begging: for pardon; revenge/vengeance: swears:
        swearing: revenge; job loss: loses: losing: a job; lie/deception: tells: telling: a
        lie; phone call: takes: taking: a phone call; job interview: sits: sitting: an
        interview; medical treatment: treats: treating: a wound; bar drinking: drinks:
        drinking: alone; secret meeting/rendezvous: holds: holding: a secret meeting; rumour:
        spreads: spreading: a rumour""",
}

ADJECTIVES = {
    "person": {
        "age": "young, elderly, middle-aged, teenage, ageing, boyish",
        "condition": """wounded, weary, exhausted, drunken, hungry, blind, pale, bearded, scarred,
            sick, sunburnt, tearful, bruised, sleepless, limping, unshaven, freckled, bald""",
        "character": """brave, cowardly, ruthless, gentle, stubborn, nervous, honest, cunning,
            arrogant, shy, loyal, reckless, proud, lonely, suspicious, cheerful, jealous,
            bitter, calm, foolish, ambitious, cruel, generous, haunted, patient, vengeful,
            witty, clumsy""",
        "standing": """famous, retired, disgraced, rich, penniless, mysterious, masked, exiled,
            unknown, rival, married, homeless, respected, wanted, foreign, rookie, legendary,
            uniformed, undercover, corrupt""",
    },
    "setting": {
        "condition": """abandoned, ruined, crowded, deserted, flooded, burning, dusty, derelict,
            cluttered, tidy, shabby, luxurious, crumbling, freshly painted, half-built,
            overgrown, empty, guarded, sealed""",
        "light": """dark, sunlit, dimly lit, moonlit, foggy, smoky, candlelit, neon-lit, shadowy,
            rain-soaked, snow-covered, starlit""",
        "size": """tiny, vast, narrow, cavernous, cramped, sprawling, high, winding, hidden,
            underground""",
        "kind": """old, modern, wooden, stone, rural, seaside, provincial, royal, remote,
            military, private, secret, medieval, futuristic, suburban, victorian, mountain,
            desert, foreign, peaceful, noisy, silent, haunted, nearby""",
    },
    "object": {
        "colour": """red, blue, green, yellow, black, white, golden, silver, brown, grey, purple,
            orange, pink, crimson, turquoise""",
        "condition": """broken, rusty, shiny, dirty, torn, burnt, worn, polished, cracked,
            bloodstained, wet, dusty, dented, scratched, frozen, bent, faded, muddy, new,
            antique, battered""",
        "size": "tiny, large, heavy, oversized, slender, long, small, huge, thick, narrow",
        "kind": """wooden, iron, leather, glass, paper, stolen, forgotten, precious, cheap,
            handmade, ornate, plain, borrowed, hidden, royal, military, foreign, magical,
            cursed, unopened, homemade, carved, brass, ceramic, striped""",
    },
    "nature": {
        "colour": "red, green, yellow, black, white, golden, silver, brown, grey, purple",
        "condition": """wet, dry, frozen, dying, burning, muddy, dusty, tired, hungry, wounded,
            frightened, sleeping, drifting, trampled, glittering, scattered, swaying,
            motionless""",
        "size": "tiny, large, heavy, huge, thick, thin, tall, low, distant, vast, slender, small",
        "kind": """wild, lonely, silent, noisy, tame, stray, strange, pale, dark, bright, rough,
            soft, lost, beautiful, ugly, eerie, peaceful, restless, familiar, foreign, summer,
            winter, desert, mountain, sunlit, moonlit, shadowy, rain-soaked""",
    },
    "event": {
        "manner": """sudden, secret, failed, daring, desperate, violent, brutal, clumsy, silent,
            heroic, bitter, fatal, joyful, tearful, staged, reckless, hopeless, tense, botched,
            careful, awkward, noisy, unexpected, narrow, bloody, solemn, comic, hasty""",
        "time": """midnight, final, first, early, long, brief, endless, nightly, late, summer,
            winter, wartime, yearly""",
        "place": """outdoor, public, private, royal, village, city, rural, seaside, underground,
            mountain, school, street, desert, frontier, rooftop, household, indoor""",
        "kind": """famous, illegal, forbidden, legendary, planned, armed, costly, crucial,
            mysterious, historic, romantic, friendly, dangerous""",
    },
    "mood": {
        "strength": """deep, quiet, growing, sudden, mounting, overwhelming, lingering, bitter,
            gentle, intense, raw, faint, bleak, sweet, wild, heavy, uneasy, eerie, tender,
            warm, cold, endless, strange, dark, bright, fading, golden, grim, restless, dreamy,
            playful, hollow, solemn, sombre, festive, peaceful, fierce, cruel, soft, old""",
        "place": """rural, urban, coastal, alpine, wartime, domestic, tropical, arctic, backstage,
            village, childhood, battlefield, suburban, nocturnal""",
    },
}

NATURE = "plant, animal, sky, crowd, ground"
"""Groups of objects that take adjectives of their own: no oak is made of leather."""

GENRE_GROUPS = {
    "War": "soldier, battlefield, combat, weapon, official",
    "Western": "traveller, frontier, lawman, animal, chase",
    "History": "official, public affair, document, combat",
    "Horror": "creature, haunted place, haunting, relic",
    "Family": "relative, home, family life, toy, animal, food",
    "Music": "performer, stage, show, instrument",
    "Musical": "performer, stage, show, instrument, clothing",
    "Sport": "athlete, sports ground, contest, sports gear",
    "Crime": "criminal, lawman, crime, police work, office",
    "Mystery": "lawman, police work, document, haunted place",
    "Sci-Fi": "scholar, creature, discovery, device, craft, equipment",
    "Fantasy": "creature, relic, haunting, wild country",
    "Adventure": "traveller, wild country, discovery, chase, vehicle",
    "Action": "chase, combat, weapon, vehicle, city street",
    "Thriller": "criminal, crime, chase, device, office",
    "Romance": "romance scene, public room, clothing, relative",
    "Comedy": "worker, quarrel, food, public room, family life",
    "Biography": "scholar, public affair, performer, document",
    "Drama": "relative, quarrel, home, worker, public room",
}
"""The groups that a genre's films draw from more often."""

WATCHING = """looks on, waits nearby, watches from a distance, tries to help, keeps silent, stands
    close by, calls out a warning, turns away, refuses to leave, listens closely"""

LINES = """We have to go now.|I never said that.|Who sent you here?|It is over.|Don't look
    back.|You promised me.|Stay where you are.| I knew you would come.|There is no time
    left.|Tell me the truth.|Not in front of the others.|I remember this place."""

TITLE_ADJECTIVES = """Silent, Last, Broken, Golden, Hidden, Crimson, Northern, Distant, Restless,
    Borrowed, Burning, Paper"""

TITLE_NOUNS = """Harbour, Summer, Promise, River, Crown, Winter, Orchestra, Frontier, Shadow,
    Garden, Signal, Letter, Horizon"""

FIRST_NAMES = """Ada, Bruno, Clara, Daniel, Edith, Felix, Greta, Henry, Irene, Jonas, Kate, Leo,
    Mara, Nils, Olive, Peter"""

LAST_NAMES = """Ashdown, Brook, Carver, Delane, Elwood, Farrow, Grange, Holt, Ivers, Keld, Larkin,
    Marsh, Norwood, Penn"""
