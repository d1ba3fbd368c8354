"""Every view: for screen readers, narrow and wide, light and dark, by keyboard; and choosing a LoRA by ear."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from psycopg.types.json import Jsonb

from dawa_assets.artists.store import Artist
from resources.ports import Ports
from tests.http.serving import TEXT, pair
from tests.http.train_mode.material import comes, open_set, with_sets
from tests.intake.material import rows, wav

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

VIEWS = (
    "",
    "{slug}/library",
    "{slug}/set/{parse}",
    "{slug}/set/{open}",
    "{slug}/dataset",
    "{slug}/hear",
    "{slug}/profile",
)
_BEYOND = """
[...document.querySelectorAll("main *")]
  .filter((each) => each.checkVisibility() && !each.closest(".runs ul, .scroller, .for-readers"))
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 120))
"""

# Text is bright on a dark page and dark on a bright one; a browser follows the system's theme a moment later.
_IS_DRAWN = "(isDark) => (parseInt(getComputedStyle(document.documentElement).color.slice(4)) > 128) === isDark"
_GRAVE = """
new Promise((still) => {
  let frames = 0; // without a transition: a colour that is inherited changes level by level
  const look = () => {
    frames = document.getAnimations().length ? 0 : frames + 1;
    if (frames > 2) still();
    else requestAnimationFrame(look);
  };
  look();
})
  .then(() => axe.run({ resultTypes: ["violations"] }))
  .then(({ violations }) => violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))]))
"""


@pytest.fixture(scope="module")
def studio(site: str, site_ports: Ports) -> tuple[Artist, list[dict[str, Any]], list[UUID]]:
    """An artist with three sets, a saved pair, and three trainings of which the second is published."""
    artist, sets = with_sets(site_ports, "Studio für Töne", 3)
    body = pair(artist, sets[0]["parse_id"], wav(300, 2.0), promptText=TEXT.replace("122", "121"))
    httpx.post(f"{site}/api/train/save", json=body, timeout=60).raise_for_status()
    runs = []
    with site_ports.database.transaction() as connection:
        for number in range(3):
            row = connection.execute(
                "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, "
                "metrics, adapter_key, adapter_sha256, promoted, candidate_at, created_at, finished_at) values "
                "(%s, %s, 'ace_step', 'tiny', 'nawfside_lora', '{}', 'done', %s, %s, %s, %s, %s, "
                "now() - %s * interval '1 day', now()) returning id",
                [
                    artist.id, f"run {number}", Jsonb({"files": {}, "sizes": {}, "steps": 4, "final_loss": 0.9}),
                    f"artists/{artist.slug}/loras/{number}", f"{number}" * 64, number == 1,
                    None if number < 2 else "2026-01-01", 3 - number,
                ],
            ).fetchone()  # fmt: skip
            assert row is not None
            runs.append(row["id"])
        for number in (0, 1):
            connection.execute(
                "insert into lora_promotions (artist_id, model_name, run_id, promoted_by, reason, asked_at, "
                "published_at) values (%s, 'nawfside_lora', %s, 'evaluation', 'better', "
                "now() - %s * interval '1 day', now())",
                [artist.id, runs[number], 3 - number],
            )
    return artist, sets, runs


def address(site: str, view: str, studio: tuple[Artist, list[dict[str, Any]], list[UUID]]) -> str:
    artist, sets, _ = studio
    return f"{site}/#/" + view.format(slug=artist.slug, parse=sets[0]["parse_id"], open=sets[1]["parse_id"])


def settled(page: "Page") -> None:
    page.get_by_role("heading", level=1).first.wait_for()
    page.locator(".shapes").wait_for(state="detached")
    page.locator(".coming:visible").wait_for(state="detached")


def test_no_view_keeps_anybody_out_or_runs_over_its_edge(site: str, studio: Any, page: "Page") -> None:
    """Each view is opened once, and looked at dark and wide, then light and narrow."""
    from axe_playwright_python.base import AXE_SCRIPT

    page.goto(address(site, "", studio))
    page.evaluate(AXE_SCRIPT)
    found = {}
    for view in VIEWS:
        page.goto(address(site, view, studio))
        settled(page)
        for scheme, width in (("dark", 1280), ("light", 360)):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_function(_IS_DRAWN, arg=scheme == "dark")
            grave = page.evaluate(_GRAVE)
            if grave:
                found[view, scheme] = grave
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    assert found == {}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scale"), [(360, 1), (720, 2), (2560, 1)])
def test_every_view_fits_a_phone_a_page_at_twice_its_size_and_a_wall(
    site: str, studio: Any, new_context: "Callable[..., BrowserContext]", width: int, scale: int
) -> None:
    page = new_context(viewport={"width": width, "height": 700}, device_scale_factor=scale).new_page()
    for view in VIEWS:
        page.goto(address(site, view, studio))
        settled(page)
        beyond = page.evaluate(_BEYOND)
        assert beyond == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_list_themselves_and_lead_through_every_view(site: str, studio: Any, page: "Page") -> None:
    page.goto(address(site, "{slug}/library", studio))
    page.locator("li.set").nth(2).wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.get_by_text("Work through what is chosen").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.keyboard.press("/")
    page.keyboard.type("122")
    comes(page, lambda: page.locator("li.set:visible").count() == 1)
    page.keyboard.press("Escape")
    for key, heading in (
        ("Alt+2", "Dataset"),
        ("Alt+3", "Hear the LoRA"),
        ("Alt+4", "Profile"),
        ("Alt+1", "Live Sets"),
    ):
        page.keyboard.press(key)
        page.get_by_role("heading", level=1, name=heading).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#prompt").wait_for()
    page.keyboard.press("e")
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "prompt"


def test_a_set_plays_stops_and_loops_by_keys(site: str, studio: Any, page: "Page") -> None:
    artist, sets, _ = studio
    open_set(page, site, artist, sets[0]["parse_id"])
    page.locator(".waveform").wait_for()
    page.get_by_text("LUFS").wait_for()
    page.keyboard.press("Space")
    comes(page, lambda: not page.locator(".clock").inner_text().startswith("0:00.0"))
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()
    page.keyboard.press("Home")
    comes(page, lambda: page.locator(".clock").inner_text().startswith("0:00.0"))


def test_blind_listening_hides_which_is_which_and_is_kept(
    site: str, site_ports: Ports, studio: Any, page: "Page"
) -> None:
    artist, _, runs = studio
    page.goto(f"{site}/#/{artist.slug}/hear/{runs[2]}")
    page.get_by_label("Prompt", exact=True).fill(TEXT)
    page.get_by_label("Seconds").fill("1")
    page.get_by_role("button", name="Render", exact=True).click()
    page.locator(".lane").nth(2).wait_for()
    assert page.locator(".lane .who").all_inner_texts() == ["Base", "Published", "Candidate"]
    page.keyboard.press("Tab")
    page.locator("h2", has_text="Listen").click()
    page.keyboard.press("2")
    page.locator(".lane[aria-pressed=true]", has_text="Published").wait_for()
    page.keyboard.press("b")
    page.locator(".lanes.blind").wait_for()
    assert page.locator(".lane .who").all_inner_texts() == ["A", "B"]
    shown = page.locator(".comparison .stage, .comparison .question").all_inner_texts()
    assert "Candidate" not in " ".join(shown)
    page.keyboard.press("1")
    question = page.locator("form.question")
    question.get_by_label("B", exact=True).check()
    question.get_by_label("4").check()
    question.get_by_role("button", name="Keep my answer").dblclick()
    page.get_by_text("Your answer is kept.").wait_for()
    (kept,) = rows(site_ports, "select * from listens where artist_id = %s", artist.id)
    assert (kept["run_id"], kept["blind"], kept["score"]) == (runs[2], True, 4)
    assert {kept["first"], kept["second"]} == {"published", "candidate"}
    assert kept["choice"] in (kept["first"], kept["second"])
    page.locator(".tally").get_by_text("blind · 1 answer").wait_for()


def test_a_run_is_promoted_with_a_reason_and_taken_back(
    site: str, site_ports: Ports, studio: Any, page: "Page"
) -> None:
    artist, _, runs = studio

    def published() -> UUID:
        (row,) = rows(site_ports, "select id from training_runs where artist_id = %s and promoted", artist.id)
        return UUID(str(row["id"]))

    page.goto(f"{site}/#/{artist.slug}/hear/{runs[2]}")
    page.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Promote").click()
    dialog.get_by_text("Write a few words first.").wait_for()
    dialog.get_by_label("Why").fill("warmer lows")
    page.keyboard.press("Enter")
    page.get_by_text("It is published.").first.wait_for()
    assert published() == runs[2]
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_label("Why").fill("too bright after all")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    page.get_by_text("The one before is published again.").first.wait_for()
    assert published() == runs[1]
    log = rows(site_ports, "select reason from lora_promotions where artist_id = %s order by asked_at", artist.id)
    assert any("warmer lows" in row["reason"] for row in log)
    assert any("too bright" in row["reason"] for row in log)


def test_a_profile_is_mended_at_its_field_priced_and_saved(
    site: str, site_ports: Ports, studio: Any, page: "Page"
) -> None:
    artist, _, _ = studio
    page.goto(f"{site}/#/{artist.slug}/profile")
    page.get_by_label("City").fill("Köln")
    page.get_by_text("Daw fingerprint aggregates").click()
    page.get_by_label("Min", exact=True).fill("5")
    page.get_by_text("1 field needs mending.").wait_for()
    assert page.get_by_label("Min", exact=True).get_attribute("aria-invalid") == "true"
    page.get_by_label("Min", exact=True).fill("80")
    page.get_by_text("Saving rewrites").wait_for()
    page.get_by_role("button", name="Save the profile").click()
    page.get_by_role("dialog").get_by_text("The profile is saved").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    (row,) = rows(site_ports, "select master_schema as profile from artist_profiles where artist_id = %s", artist.id)
    assert row["profile"]["artist"]["origin"]["city"] == "Köln"
    assert row["profile"]["daw_fingerprint_aggregates"]["core_bpm_range"]["min"] == 80
