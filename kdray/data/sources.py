"""The table of data sources. A new one is one file and one line here."""

from kdray.data.base import DataSource
from kdray.data.files import Files
from kdray.data.hub import Hub
from kdray.data.synthetic import Synthetic

SOURCES: dict[str, type[DataSource]] = {
    "synthetic": Synthetic,
    "files": Files,
    "hub": Hub,
}
