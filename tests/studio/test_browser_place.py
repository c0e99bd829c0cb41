"""Where one is: the current cover in every tab, and what address bar, history and a reload remember of it."""

import re

from playwright.sync_api import expect

from tests.helpers.visiting import details


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def address_in(page, part: str) -> str:
    return page.locator(f"#{part} .stand").get_attribute("data-address")


def surprise(page) -> str:
    """Another cover, and its address."""
    before = address_in(page, "crate")
    page.click("#dice")
    expect(page.locator("#crate .stand")).not_to_have_attribute("data-address", before)
    page.wait_for_url(f"**/?{address_in(page, 'crate')}")
    return address_in(page, "crate")


def test_every_tab_opens_on_the_cover_that_one_is_looking_at(visit):
    page = visit()
    cover = surprise(page)
    tab(page, "Breed")
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", cover)
    expect(page.locator("#breed .child")).to_have_count(12)
    tab(page, "Finish")
    expect(page.locator("#finish .stand")).to_have_attribute("data-shown", cover)
    tab(page, "Walk")
    expect(page.locator("#seed-a")).to_have_value(re.search(r"seed=(\d+)", cover)[1])
    tab(page, "Yours")
    expect(page.locator("#yours [data-send=breed]")).to_be_hidden()

    tab(page, "Breed")  # a child goes back to the crate
    page.locator("#breed .choose").nth(2).click()
    expect(page.locator("#breed .details")).to_have_text("Generation 1")
    child = address_in(page, "breed")
    page.click("#breed [data-send=open]")
    expect(page.locator("#crate .stand")).to_have_attribute("data-address", child)
    expect(page.get_by_role("tab", name="Crate")).to_have_attribute("aria-selected", "true")


def test_a_link_to_a_tab_that_there_is_not_opens_the_crate(visit):
    page = visit("?seed=5&tab=nope")
    expect(page.get_by_role("tab", name="Crate")).to_have_attribute("aria-selected", "true")
    cover = surprise(page)  # and the address follows
    tab(page, "Breed")
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", cover)


def test_back_goes_one_step_and_forward_again(visit):
    page = visit("?seed=5")
    first = address_in(page, "crate")
    second = surprise(page)
    tab(page, "Breed")
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", second)
    page.locator("#breed .choose").first.click()
    expect(page.locator("#breed .details")).to_have_text("Generation 1")
    child = address_in(page, "breed")
    page.go_back()
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", second)
    page.go_back()
    expect(page.get_by_role("tab", name="Crate")).to_have_attribute("aria-selected", "true")
    assert address_in(page, "crate") == second
    page.go_back()
    details(page, "Seed 5, daring 1")
    assert address_in(page, "crate") == first
    for _ in range(3):
        page.go_forward()
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", child)
    expect(page.locator("#breed .details")).to_have_text("Generation 1")


def test_a_seed_that_is_typed_and_a_slider_are_one_step_each(visit):
    page = visit("?seed=5")
    before = page.evaluate("history.length")
    for seed in ("1", "12", "123"):
        page.fill("#seed", seed)
        details(page, f"Seed {seed}, daring 1")
    for _ in range(3):
        page.locator("#truncation").press("ArrowLeft")
    details(page, "Seed 123, daring 0.97")
    page.wait_for_url(re.compile("seed=123&truncation=0.97&"))
    assert page.evaluate("history.length") == before + 2


def test_a_reload_and_a_link_find_the_tab_again(visit, visitors):
    page = visit("?seed=5")
    tab(page, "Breed")
    for generation in (1, 2):
        page.locator("#breed .choose").nth(generation).click()
        expect(page.locator("#breed .details")).to_have_text(f"Generation {generation}")
        expect(page.locator("#breed .family button")).to_have_count(generation + 1)
    shown = page.locator("#breed .stand").get_attribute("data-address")
    expect(page.locator("#breed .litter")).to_have_attribute("data-of", shown)  # they have come
    children = [child.get_attribute("data-address") for child in page.locator("#breed .child").all()]
    page.reload()
    expect(page.locator("#breed .details")).to_have_text("Generation 2")
    expect(page.locator("#breed .child").first).to_have_attribute("data-address", children[0])  # the very children
    page.click("#breed .undo")
    expect(page.locator("#breed .details")).to_have_text("Generation 1")
    page.go_back()
    page.wait_for_url(re.compile("line="))
    other = visitors.arrive().new_page()  # a stranger, who has only the link
    other.goto(page.url)
    expect(other.locator("#breed .details")).to_have_text("Generation 2")
    expect(other.locator("#breed .family button")).to_have_count(3)


def test_texts_and_film_are_in_the_address(visit):
    page = visit("?seed=5")
    tab(page, "Finish")
    page.fill("#finish .artist", "Óskar & Søn")
    page.fill("#finish .title", "50 % = ½?")
    page.locator("#finish .layouts label").nth(2).click()
    page.reload()
    expect(page.locator("#finish .artist")).to_have_value("Óskar & Søn")
    expect(page.locator("#finish .title")).to_have_value("50 % = ½?")
    expect(page.locator("#finish .layouts input").nth(2)).to_be_checked()
    page = visit(page.url.partition("/?")[2].join(("?", "")))
    expect(page.locator("#finish .title")).to_have_value("50 % = ½?")
    tab(page, "Walk")
    page.fill("#seed-b", "77")
    page.locator("#frames").fill("24")
    details(page, re.compile(r"Frame \d+ of 24, 1.2 seconds"), "#walk")
    page.reload()
    details(page, re.compile(r"Frame \d+ of 24, 1.2 seconds"), "#walk")
    expect(page.locator("#seed-b")).to_have_value("77")


def test_tabs_by_keys(visit):
    page = visit()
    page.get_by_role("tab", name="Crate").focus()
    for name in ("Breed", "Walk", "Finish", "Yours"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=name)).to_be_focused()
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(page.get_by_role("tab", name="Crate")).to_have_attribute("aria-selected", "true")


def test_all_tabs_are_reachable_without_a_menu_at_every_width(visit):
    page = visit(width=390)
    for width in (390, 1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for name in ("Walk", "Finish", "Yours", "Breed", "Crate"):
            tab(page, name)
            expect(page.locator(f"#panel-{name.lower()}")).to_be_visible()
            assert page.locator("[id^=panel-]:visible").count() == 1, (width, name)
            assert page.get_by_role("tab", name=name).bounding_box()["height"] >= 44, (width, name)
