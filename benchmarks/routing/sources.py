"""Which labelled prompts may shape the shipped coefficients: the sets, and the licences that were read for them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import Case

# Set -> licence, and where its text was read on 2026-11-28.
LICENCES: Mapping[str, str] = {
    "clinc150": "CC BY 3.0, LICENSE of https://github.com/clinc/oos-eval",
    "banking77": "CC BY 4.0, LICENSE of https://github.com/PolyAI-LDN/task-specific-datasets",
    "hwu64": "CC BY 4.0, README.md of https://github.com/xliuhw/NLU-Evaluation-Data",
    "dstc11-insurance": (
        "CDLA-Permissive-2.0, NOTICE of https://github.com/amazon-science/dstc11-track2-intent-induction"
    ),
    "llmwork": "MIT, LICENSE of https://github.com/ulab-uiuc/LLMRouter, and by source as below",
}
# Sources within llmwork: all that stand nowhere here are subjects of MMLU (MIT, https://github.com/hendrycks/test).
READ_SOURCES: Mapping[str, str] = {
    "gsm8k": "MIT, https://github.com/openai/grade-school-math",
    "human_eval": "MIT, https://github.com/openai/human-eval",
    "commongen": "MIT, https://github.com/INK-USC/CommonGen",
    "openbook_qa": "Apache-2.0, https://github.com/allenai/OpenBookQA",
    "trivia_qa": "Apache-2.0, https://github.com/mandarjoshi90/triviaqa",
    "natural_qa": "Apache-2.0, https://github.com/google-research-datasets/natural-questions",
    "agentverse-logicgrid": "Apache-2.0, https://github.com/OpenBMB/AgentVerse",
    "agentverse-mgsm": "Apache-2.0, https://github.com/OpenBMB/AgentVerse",
}
# Their licences could not be read, or are disputed: measured on, not fitted to.
UNREAD_SOURCES = frozenset({"gpqa", "commonsense_qa", "mbpp", "arc_challenge", "math"})


def may_shape(case: Case) -> NDArray[np.bool_]:
    """Return which prompts of a router the fit may see."""
    return np.array([case.dataset in LICENCES and each not in UNREAD_SOURCES for each in case.sources])
