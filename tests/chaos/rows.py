"""All scenarios. The files that are imported here put theirs into the table."""

from chaos import losses, masters, network, scenarios, storm, troubles  # noqa: F401

TABLE = scenarios.TABLE
find = scenarios.find
