"""zyz-match: ranks target firms for specialised towns (专业镇精准招商匹配)."""

from zyz_match.domain import (
    ChainSegment,
    Col,
    Contribution,
    Event,
    Explanation,
    Filters,
    Firm,
    LeadEntry,
    Match,
    Product,
    Receipt,
    Shortlist,
    Similar,
    Stage,
    Standing,
    Town,
    TownFit,
)
from zyz_match.errors import (
    FileError,
    InputError,
    NeedsConfirmation,
    NotFoundError,
    ProfileError,
    StorageError,
    ZyzError,
)
from zyz_match.settings import Settings, load_settings

__version__ = "0.1.0"

__all__ = [
    "ChainSegment",
    "Col",
    "Contribution",
    "Event",
    "Explanation",
    "FileError",
    "Filters",
    "Firm",
    "InputError",
    "LeadEntry",
    "Match",
    "NeedsConfirmation",
    "NotFoundError",
    "Product",
    "ProfileError",
    "Receipt",
    "Settings",
    "Shortlist",
    "Similar",
    "Stage",
    "Standing",
    "StorageError",
    "Town",
    "TownFit",
    "ZyzError",
    "load_settings",
]
