"""Adam with the paper's two learning rates (section 4.2): 4e-4 for half the epochs, then 4e-5."""

from baselines.learning.learner import Learner
from baselines.learning.machine import Optimisation

ADAM = Optimisation(
    learning_rate=4e-4, schedule="constant", warmup=0.0, weight_decay=0.0, clip_norm=2.0
)
"""The paper's. It names no limit of the gradient's norm; the released code of VSRN has 2."""
LATER = 0.1
"""The second learning rate, of the first."""


class TwoRates(Learner):
    """A learner whose rate falls to a tenth after half of its steps."""

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        first = self.config.learning_rate
        return first if 2 * self.step < self.steps else LATER * first
