"""Every view: for screen readers, narrow and wide, light and dark, by keyboard; and choosing a LoRA by ear.

Every view is looked at by axe, which takes a second for each.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, pair
from tests.dawa_assets.http.train_mode.material import comes, open_set, with_sets
from tests.dawa_assets.intake.material import rows, wav

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

VIEWS = (
    "{slug}/library",
    "{slug}/set/{parse}",
    "{slug}/set/{open}",
    "{slug}/dataset",
    "{slug}/hear",
    "{slug}/profile",
    "",  # last: who has a single artist is sent on to them at first
)
_BEYOND = """
[...document.querySelectorAll("main *")]
  .filter((each) => each.checkVisibility() && !each.closest(".runs ul, .scroller, .for-readers"))
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 120))
"""

# Text is bright on a dark page and dark on a bright one; a browser follows the system's theme a moment later.
_IS_DRAWN = "(isDark) => (parseInt(getComputedStyle(document.documentElement).color.slice(4)) > 128) === isDark"
# Steps to 0.4 s, and counts from then on how often playing goes back to the start.
_COUNTED = """
() => {
  window.audio = document.querySelector(".audio-panel audio");
  window.turns = 0;
  audio.currentTime = 0.4;
  audio.addEventListener("seeked", () => (turns += audio.currentTime < 0.3));
}
"""
_OF_THEME_AND_SIZE = [
    "aria-hidden-focus",
    "button-name",
    "color-contrast",
    "label",
    "link-name",
    "scrollable-region-focusable",
    "target-size",
]  # that a theme changes, or what a narrow page hides
_GRAVE = """
(rules) => new Promise((still) => {
  let frames = 0; // without a transition: a colour that is inherited changes level by level
  const look = () => {
    frames = document.getAnimations().length ? 0 : frames + 1;
    if (frames > 2) still();
    else requestAnimationFrame(look);
  };
  look();
})
  .then(() => axe.run({ resultTypes: ["violations"], ...(rules && { runOnly: { type: "rule", values: rules } }) }))
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


def show(page: "Page", site: str, view: str, studio: tuple[Artist, list[dict[str, Any]], list[UUID]]) -> None:
    """Go to another view and wait until it stands in the place of the one before."""
    page.evaluate("document.querySelector('main')?.firstElementChild?.setAttribute('data-before', '')")
    page.goto(address(site, view, studio))
    page.locator("main > [data-before]").wait_for(state="detached")
    page.get_by_role("heading", level=1).first.wait_for()
    page.locator(".shapes").wait_for(state="detached")
    page.locator(".coming:visible").wait_for(state="detached")


def test_no_view_keeps_anybody_out_or_runs_over_its_edge(site: str, studio: Any, open_page: "Page") -> None:
    """Each view is opened once, and looked at dark and wide, then light and narrow."""
    from axe_playwright_python.base import AXE_SCRIPT

    found = {}
    for view in VIEWS:
        show(open_page, site, view, studio)
        if open_page.evaluate("typeof axe") == "undefined":
            open_page.evaluate(AXE_SCRIPT)
        for scheme, width, rules in (("dark", 1280, None), ("light", 360, _OF_THEME_AND_SIZE)):
            open_page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            open_page.set_viewport_size({"width": width, "height": 800})
            open_page.wait_for_function(_IS_DRAWN, arg=scheme == "dark")
            grave = open_page.evaluate(_GRAVE, rules)
            if grave:
                found[view, scheme] = grave
            assert open_page.evaluate("document.documentElement.scrollWidth") <= width, view
    open_page.set_viewport_size({"width": 1280, "height": 900})
    assert found == {}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scale"), [(360, 1), (720, 2), (2560, 1)])
def test_every_view_fits_a_phone_a_zoomed_page_and_a_wall(
    site: str, studio: Any, new_context: "Callable[..., BrowserContext]", width: int, scale: int
) -> None:
    page = new_context(viewport={"width": width, "height": 700}, device_scale_factor=scale).new_page()
    for view in VIEWS:
        show(page, site, view, studio)
        beyond = page.evaluate(_BEYOND)
        assert beyond == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_list_themselves_and_lead_through_every_view(site: str, studio: Any, open_page: "Page") -> None:
    open_page.goto(address(site, "{slug}/library", studio))
    open_page.locator("li.set").nth(2).wait_for()
    open_page.keyboard.press("?")
    dialog = open_page.get_by_role("dialog", name="Keys")
    dialog.get_by_text("Work through what is chosen").wait_for()
    open_page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    open_page.keyboard.press("/")
    open_page.keyboard.type("122")
    comes(open_page, lambda: open_page.locator("li.set:visible").count() == 1)
    open_page.keyboard.press("Escape")
    for key, heading in (
        ("Alt+2", "Dataset"),
        ("Alt+3", "Hear the LoRA"),
        ("Alt+4", "Profile"),
        ("Alt+1", "Live Sets"),
    ):
        open_page.keyboard.press(key)
        open_page.get_by_role("heading", level=1, name=heading).wait_for()
    open_page.keyboard.press("j")
    open_page.keyboard.press("Enter")
    open_page.locator("#prompt").wait_for()
    open_page.keyboard.press("e")
    assert open_page.evaluate("document.activeElement.id") == "prompt"
    open_page.keyboard.press("Escape")
    assert open_page.evaluate("document.activeElement.id") != "prompt"


def test_a_set_plays_stops_and_loops_by_keys(site: str, studio: Any, open_page: "Page") -> None:
    artist, sets, _ = studio
    open_set(open_page, site, artist, sets[0]["parse_id"])
    open_page.locator(".waveform").wait_for()
    open_page.get_by_text("LUFS").wait_for()
    open_page.keyboard.press("Space")
    comes(open_page, lambda: not open_page.locator(".clock").inner_text().startswith("0:00.0"))
    open_page.keyboard.press("Space")
    open_page.get_by_role("button", name="Play").wait_for()
    open_page.keyboard.press("Home")
    comes(open_page, lambda: open_page.locator(".clock").inner_text().startswith("0:00.0"))
    open_page.evaluate(_COUNTED)
    open_page.keyboard.press("o")  # up to here, from the start
    loop = open_page.get_by_role("button", name="Loop the section")
    assert loop.get_attribute("aria-pressed") == "true"
    open_page.keyboard.press("Space")
    comes(open_page, lambda: open_page.evaluate("turns") > 2)
    open_page.keyboard.press("l")
    assert loop.get_attribute("aria-pressed") == "false"
    comes(open_page, lambda: open_page.evaluate("audio.ended"))


def test_blind_listening_hides_which_is_which_and_is_kept(
    site: str, site_ports: Ports, studio: Any, open_page: "Page"
) -> None:
    artist, _, runs = studio
    open_page.goto(f"{site}/#/{artist.slug}/hear/{runs[2]}")
    open_page.locator(".render-form").get_by_label("Prompt", exact=True).fill(TEXT)
    open_page.get_by_label("Seconds").fill("1")
    open_page.get_by_role("button", name="Render", exact=True).click()
    open_page.locator(".lane").nth(2).wait_for()
    assert open_page.locator(".lane .who").all_inner_texts() == ["Base", "Published", "Candidate"]
    open_page.keyboard.press("Tab")
    open_page.locator("h2", has_text="Listen").click()
    open_page.keyboard.press("2")
    open_page.locator(".lane[aria-pressed=true]", has_text="Published").wait_for()
    open_page.keyboard.press("b")
    open_page.locator(".lanes.blind").wait_for()
    assert open_page.locator(".lane .who").all_inner_texts() == ["A", "B"]
    shown = open_page.locator(".comparison .stage, .comparison .question").all_inner_texts()
    assert "Candidate" not in " ".join(shown)
    open_page.keyboard.press("1")
    question = open_page.locator("form.question")
    question.get_by_label("B", exact=True).check()
    question.get_by_label("4").check()
    question.get_by_role("button", name="Keep my answer").dblclick()
    open_page.get_by_text("Your answer is kept.").wait_for()
    (kept,) = rows(site_ports, "select * from listens where artist_id = %s", artist.id)
    assert (kept["run_id"], kept["blind"], kept["score"]) == (runs[2], True, 4)
    assert {kept["first"], kept["second"]} == {"published", "candidate"}
    assert kept["choice"] in (kept["first"], kept["second"])
    open_page.locator(".tally").get_by_text("blind · 1 answer").wait_for()


def test_a_run_is_promoted_with_a_reason_and_taken_back(
    site: str, site_ports: Ports, studio: Any, open_page: "Page"
) -> None:
    artist, _, runs = studio

    def published() -> UUID:
        (row,) = rows(site_ports, "select id from training_runs where artist_id = %s and promoted", artist.id)
        return UUID(str(row["id"]))

    open_page.goto(f"{site}/#/{artist.slug}/hear/{runs[2]}")
    open_page.get_by_role("button", name="Promote").click()
    dialog = open_page.get_by_role("dialog")
    dialog.get_by_role("button", name="Promote").click()
    dialog.get_by_text("Write a few words first.").wait_for()
    dialog.get_by_label("Why").fill("warmer lows")
    open_page.keyboard.press("Enter")
    open_page.get_by_text("It is published.").first.wait_for()
    assert published() == runs[2]
    open_page.get_by_role("button", name="Roll back").click()
    open_page.get_by_role("dialog").get_by_label("Why").fill("too bright after all")
    open_page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    open_page.get_by_text("The one before is published again.").first.wait_for()
    assert published() == runs[1]
    log = rows(site_ports, "select reason from lora_promotions where artist_id = %s order by asked_at", artist.id)
    assert any("warmer lows" in row["reason"] for row in log)
    assert any("too bright" in row["reason"] for row in log)


def test_a_profile_is_fixed_at_its_field_priced_and_saved(
    site: str, site_ports: Ports, studio: Any, open_page: "Page"
) -> None:
    artist, _, _ = studio
    open_page.goto(f"{site}/#/{artist.slug}/profile")
    open_page.get_by_label("City").fill("Köln")
    open_page.get_by_text("Daw fingerprint aggregates").click()
    open_page.get_by_label("Min", exact=True).fill("5")
    open_page.get_by_text("1 field needs mending.").wait_for()
    assert open_page.get_by_label("Min", exact=True).get_attribute("aria-invalid") == "true"
    open_page.get_by_label("Min", exact=True).fill("80")
    open_page.get_by_text("Saving rewrites").wait_for()
    open_page.get_by_role("button", name="Save the profile").click()
    open_page.get_by_role("dialog").get_by_text("The profile is saved").wait_for()
    open_page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    (row,) = rows(site_ports, "select master_schema as profile from artist_profiles where artist_id = %s", artist.id)
    assert row["profile"]["artist"]["origin"]["city"] == "Köln"
    assert row["profile"]["daw_fingerprint_aggregates"]["core_bpm_range"]["min"] == 80
