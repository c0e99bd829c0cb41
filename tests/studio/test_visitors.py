"""The visitors of the other tests: a context that is kept forgets who was there."""

from playwright.sync_api import expect

from tests.helpers.visiting import Visitors


STORE = """async () => {
  localStorage.x = sessionStorage.x = document.cookie = 'x=1';
  await (await caches.open('x')).put('/x', new Response('x'));
  await new Promise(done => { indexedDB.open('x').onsuccess = done; });
}"""
STORED = """async () => [  // what the page itself stores comes when it likes
  Number('x' in localStorage), Number('x' in sessionStorage), document.cookie.length, (await caches.keys()).length,
  (await indexedDB.databases()).length,
  Number((await navigator.permissions.query({name: 'geolocation'})).state === 'granted'),
]"""


def test_a_kept_visitor_was_never_here(browser, address: str) -> None:
    visitors, contexts, found = Visitors(browser), [], []
    for _ in range(2):
        context = visitors.arrive(locale="en-US")
        contexts.append(context)
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-cover').length")
        expect(page.locator("#shelf li")).to_have_count(0)
        found.append(page.evaluate(STORED))
        page.locator("#crate .keep").click()
        expect(page.locator("#shelf li")).to_have_count(1)
        page.evaluate(STORE)
        context.grant_permissions(["geolocation"])
        assert all(now > before for now, before in zip(page.evaluate(STORED), found[-1], strict=True))
        context.set_offline(True)
        visitors.leave()
        assert not context.pages
    assert contexts[0] is contexts[1] and found[0] == found[1]
    contexts[0].close()


def test_two_at_once_are_two_and_each_kind_is_its_own(browser) -> None:
    visitors = Visitors(browser)
    first, second, german = (visitors.arrive(locale=language) for language in ("en-US", "en-US", "de-DE"))
    assert len({first, second, german}) == 3
    visitors.leave()
    assert visitors.arrive(locale="de-DE") is german and visitors.arrive(locale="en-US") in (first, second)
    for context in (first, second, german):
        context.close()
