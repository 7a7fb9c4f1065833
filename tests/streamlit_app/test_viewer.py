import pytest

from streamlit_app.queries.viewer import Person, UnknownViewerError, viewer_for

PEOPLE = (
    Person(rep_id="r1", rep_name="Wren Sample", email="wren@example.test", is_manager=False, is_active=True),
    Person(rep_id="m1", rep_name="Robin Sample", email="Robin@Example.test", is_manager=True, is_active=True),
    Person(rep_id="r9", rep_name="Gull Former", email="gull@example.test", is_manager=False, is_active=False),
    Person(rep_id="d1", rep_name="Twin Sample", email="twin@example.test", is_manager=False, is_active=True),
    Person(rep_id="d2", rep_name="Twin Sample", email="TWIN@example.test", is_manager=True, is_active=True),
)


def test_an_address_finds_its_rep_whatever_its_case() -> None:
    assert viewer_for(" WREN@example.test ", people=PEOPLE).viewer_id == "r1"


def test_someone_with_reports_is_a_manager() -> None:
    assert viewer_for("robin@example.test", people=PEOPLE).role == "manager"


def test_leaders_and_admins_are_named_in_the_settings_and_need_not_be_reps() -> None:
    assert viewer_for("robin@example.test", people=PEOPLE, leaders=["ROBIN@example.test"]).role == "leader"
    assert viewer_for("ops@example.test", people=PEOPLE, admins=["ops@example.test"]).role == "admin"


@pytest.mark.parametrize("who", ["", "   ", "nobody@example.test", "r1' or '1'='1"])
def test_a_stranger_is_refused(who: str) -> None:
    with pytest.raises(UnknownViewerError):
        viewer_for(who, people=PEOPLE)


def test_whoever_has_left_is_refused() -> None:
    with pytest.raises(UnknownViewerError, match="left"):
        viewer_for("gull@example.test", people=PEOPLE)


def test_an_address_that_two_people_share_opens_neither() -> None:
    with pytest.raises(UnknownViewerError):
        viewer_for("twin@example.test", people=PEOPLE)


def test_nobody_may_write_unless_it_was_granted() -> None:
    assert not viewer_for("r1", people=PEOPLE).can_write
