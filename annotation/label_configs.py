"""Label Studio's XML for each form, and the data of a page.

Chosen by keystrokes for twenty labels, measured in a browser (docs/annotation.md): one key a label
and one to submit. Three things make that possible:

- The questions are written out, not repeated by `<Repeater>`, which is deprecated upstream.
- A question's answers come with the task's data (`value="$answers_00"`), and with them each
  answer's key. So one config serves pages with fewer questions, whose unused slots have one answer
  that is chosen already and not shown: each question can be required.
- Nothing of a clip's is ever written into the XML: labels and descriptions are data, which the page
  shows as text.
"""

import functools
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from annotation.forms import UNUSED, Form

STYLE = """
.lrm { display: flex; gap: 16px; }
.lrm-clip { flex: 1 1 34%; min-width: 260px; position: sticky; top: 0; align-self: flex-start; }
.lrm-ask { flex: 2 1 66%; }
.lrm-slots { display: grid; grid-template-columns: 1fr 1fr; grid-template-rows: repeat(ROWS, auto);
  grid-auto-flow: column; column-gap: 24px; }
.lrm-slot { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between;
  gap: 0 10px; padding: 5px 4px 5px 8px; border-left: 3px solid #f59e0b;
  border-bottom: 1px solid rgba(128, 128, 128, .25); }
.lrm-slot:has(.ant-radio-checked) { border-left-color: transparent; }
.lrm-slot:has(h4:empty) { visibility: hidden; }
.lrm-slot h4 { flex: 1 1 130px; font-size: 15px; line-height: 1.3; overflow-wrap: anywhere; }
.lrm-slot .lsf-choices { margin: 0; display: flex; gap: 10px; }
.lrm-slot .lsf-choice { line-height: 1.5; }
.lrm-slot .lsf-choice__checkbox { padding-left: 0; margin-right: 0; }
.lrm-slot .ant-radio + span { padding: 0 0 0 5px; }
@media (max-width: 1500px) {
  .lrm-slot { padding: 2px 0 2px 6px; }
  .lrm-slot h4, .lrm-slot label.ant-radio-wrapper { font-size: 13px; }
  .lrm-slot .lsf-choices { gap: 6px; }
}
.lrm-screening .lrm-slot > div:last-child { flex: 0 1 auto; }
.lrm-slot .ant-form-item { margin: 0; }
.lrm-pairs .lrm-slots { display: block; }
.lrm-pairs .lrm-slot h4 { flex: 0 0 24px; }
.lrm-pairs .lsf-choices { flex: 1 1 280px; display: grid; align-items: center;
  grid-template-columns: 1fr 1fr 130px 120px; }
.lrm-pairs .lsf-choice { overflow-wrap: anywhere; }
"""
"""A question that has no answer yet has a coloured edge. Names of `lsf-` and `ant-` are Label
Studio's: where they change, the page is less pretty and as usable."""


def label_config(form: Form, pictures: bool) -> str:
    """The XML of a form's projects. Parsed once by Label Studio's own library before it is used.

    Raises:
        ValueError: that library does not accept it; a defect of ours.
    """
    config = _written(form, pictures)
    from label_studio_sdk.label_interface import LabelInterface

    LabelInterface(config).validate()
    return config


@functools.cache
def _written(form: Form, pictures: bool) -> str:
    clip = '<Text name="description" value="$description"/>'
    if pictures:
        clip += '<Image name="frames" value="$frames" zoomControl="false"/>'
    slots = "".join(_slot(form, slot) for slot in range(form.slots))
    style = STYLE.replace("ROWS", str((form.slots + 1) // 2))
    return (
        f'<View className="lrm lrm-{form.name}"><Style>{style}</Style>'
        f'<View className="lrm-clip">{clip}</View><View className="lrm-ask">'
        f'<Header value={quoteattr(form.title)} size="5"/>'
        f'<View className="lrm-slots">{slots}</View></View></View>'
    )


def _slot(form: Form, slot: int) -> str:
    missing = quoteattr(f"Number {slot + 1} has no answer yet.")
    question = (
        f'<Header value="$question_{slot:02d}" size="5" style="margin: 2px 0"/>'
        f'<Choices name="answer_{slot:02d}" toName="description" choice="single-radio" '
        f'layout="inline" value="$answers_{slot:02d}" required="true" requiredMessage={missing}/>'
    )
    if form.corrects:
        question += (
            f'<View visibleWhen="choice-selected" whenTagName="answer_{slot:02d}" '
            f"whenChoiceValue={quoteattr(form.answers[-1].shown)}>"
            f'<TextArea name="text_{slot:02d}" toName="description" rows="1" maxSubmissions="1" '
            'editable="true" showSubmitButton="false" placeholder="as it should be" '
            'required="true" requiredMessage='
            f"{quoteattr(f'Number {slot + 1}: write the label as it should be.')}/></View>"
        )
    return f'<View className="lrm-slot">{question}</View>'


def page_data(
    form: Form, description: str, questions: Sequence[Sequence[str]], picture: str | None
) -> dict[str, Any]:
    """What a page shows, as the data of a Label Studio task.

    Args:
        form: the form of the page.
        description: the clip's description.
        questions: up to `form.slots` of them, in the order in which they are shown: a label, or a
            pair of labels.
        picture: the URL of the clip's frames, or None where the form has no pictures.
    """
    data: dict[str, Any] = {"description": description}
    if picture is not None:
        data["frames"] = picture
    for slot in range(form.slots):
        asked = questions[slot] if slot < len(questions) else ()
        data[f"question_{slot:02d}"] = _question(slot, asked)
        data[f"answers_{slot:02d}"] = _answers(form, slot, asked)
    return data


def _question(slot: int, asked: Sequence[str]) -> str:
    """The label with its number; a pair's labels are the answers, so only the number."""
    return "" if not asked else f"{slot + 1}. {asked[0] if len(asked) == 1 else ''}".rstrip()


def _answers(form: Form, slot: int, asked: Sequence[str]) -> list[dict[str, Any]]:
    if not asked:
        return [{"value": UNUSED, "selected": True, "style": "display: none"}]
    labels = dict(zip(("a", "b"), asked, strict=True)) if len(asked) == 2 else {}
    return [
        {
            "value": shown_as_is(labels.get(answer.value, answer.shown)),
            "alias": answer.value,
            "hotkey": form.key(slot, place),
        }
        for place, answer in enumerate(form.answers)
    ]


def shown_as_is(text: str) -> str:
    """A text in which Label Studio finds no name of a variable (`$description`) to put in.

    An unseen word joiner goes after each dollar sign. Only what is shown is changed: answers are
    stored by their alias.
    """
    return text.replace("$", "$\u2060")
