"""Lists: pages, order, views, and how far they are behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import Options
from reconciler.providers.emulator import Fault

VERSIONS = "environments/env/versions"


@pytest.fixture
def seven(new_platform: Callable[..., Any]) -> Any:
    """Versions 1 to 7 of one environment, on pages of three; 3 is archived."""
    platform = new_platform(options=Options(page_size=3))
    for number in range(1, 8):
        platform.make("env", str(number), isArchived=number == 3)
    return platform


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, "765421"),
        ({"listViewType": "ActiveOnly"}, "765421"),
        ({"listViewType": "ArchivedOnly"}, "3"),
        ({"listViewType": "All"}, "7654321"),
        ({"listViewType": "all"}, "7654321"),
        ({"listViewType": "All", "$orderBy": "createdtime asc"}, "1234567"),
        ({"listViewType": "All", "$orderBy": "createdtime desc", "$top": "2"}, "7654321"),
        ({"listViewType": "All", "$top": "99999999999999"}, "7654321"),
    ],
)
def test_what_is_listed_over_all_pages(seven: Any, query: dict[str, str], names: str) -> None:
    """Newest first, active only, unless something else is asked."""
    assert "".join(seven.names(VERSIONS, **query)) == names


def test_a_page_names_the_next_by_a_whole_address_that_keeps_the_question(seven: Any) -> None:
    """The last one has no nextLink at all."""
    _, first = seven.ask("GET", VERSIONS, params={"listViewType": "All", "$top": "5"})
    assert [one["name"] for one in first["value"]] == ["7", "6", "5", "4", "3"]
    link = first["nextLink"]
    assert link.startswith("https://azureml/subscriptions/")
    assert "api-version=2025-12-01&listViewType=All&$top=5&$skip=" in link
    _, second = seven.ask("GET", link)
    assert ([one["name"] for one in second["value"]], sorted(second)) == (["2", "1"], ["value"])


def test_what_is_made_meanwhile_moves_nothing(seven: Any) -> None:
    """The token says where to go on, not how much to leave out."""
    _, first = seven.ask("GET", VERSIONS)
    seven.make("env", "8")
    _, second = seven.ask("GET", first["nextLink"])
    assert [one["name"] for one in second["value"]] == ["4", "2", "1"]


def test_the_first_of_the_newest_is_the_latest(seven: Any) -> None:
    """How the SDK finds it."""
    _, body = seven.ask("GET", VERSIONS, params={"$orderBy": "createdtime desc", "$top": "1"})
    assert [one["name"] for one in body["value"]] == ["7"]


@pytest.mark.parametrize(
    "query",
    [
        {"$top": "0"},
        {"$top": "-1"},
        {"$top": "x"},
        {"$top": ""},
        {"$orderBy": "name asc"},
        {"listViewType": "Some"},
        {"$skip": "2"},
        {"$skip": "PjE="},
        {"$skip": ""},
        {"$skip": "é"},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(seven: Any, query: dict[str, str]) -> None:
    """400; ``$skip`` is nobody's to compute, and one of the other order is of another list."""
    status, body = seven.ask("GET", VERSIONS, params=query)
    assert (status, body["error"]["code"]) == (400, "UserError")


def test_containers_come_in_pages_too_and_know_neither_top_nor_order(
    new_platform: Callable[..., Any],
) -> None:
    """Newest first."""
    platform = new_platform(options=Options(page_size=2))
    for name in "abc":
        platform.make(name)
    assert platform.names("environments", **{"$top": "nonsense", "$orderBy": "nonsense"}) == ["c", "b", "a"]


class TestLag:
    @pytest.fixture(params=["option", "fault"])
    def slow(self, new_platform: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
        """A platform whose lists are ten seconds behind, in either of two ways."""
        if request.param == "option":
            return new_platform(options=Options(list_lag=10.0))
        return new_platform(faults=[Fault("GET */environments*", lag=10.0)])

    def test_a_list_lags_behind_and_a_read_does_not(self, slow: Any) -> None:
        """Creation, archive and deletion; each shows after a while."""
        slow.wait(100)
        slow.make("env", "1")
        assert slow.ask("GET", "environments/env/versions/1")[0] == 200
        assert (slow.names("environments"), slow.names(VERSIONS)) == ([], [])
        slow.wait(10)
        assert (slow.names("environments"), slow.names(VERSIONS)) == (["env"], ["1"])
        slow.make("env", "1", isArchived=True)
        assert slow.names(VERSIONS) == ["1"]
        slow.wait(10)
        assert slow.names(VERSIONS) == []
        slow.ask("DELETE", "environments/env")
        assert slow.names("environments") == ["env"]
        slow.wait(10)
        assert slow.names("environments") == []

    def test_a_list_can_lack_its_end(self, new_platform: Callable[..., Any]) -> None:
        """As the shared base can say it."""
        platform = new_platform(faults=[Fault("GET */versions", hide=1)])
        for number in "123":
            platform.make("env", number)
        assert platform.names(VERSIONS) == ["3", "2"]
