"""The user's own text: reading, learning to predict its characters beside an n-gram model, writing on."""

from .corpus import Corpus, TextError, read_text
from .fit import TextResult, text_settings, train_text
from .model import DEFAULTS, TextModel, TextSettings, load_text_model
from .ngram import NGram

__all__ = [
    "DEFAULTS",
    "Corpus",
    "NGram",
    "TextError",
    "TextModel",
    "TextResult",
    "TextSettings",
    "load_text_model",
    "read_text",
    "text_settings",
    "train_text",
]
