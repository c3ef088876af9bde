import sys

sys.path.insert(0, "/work/main/tests")
from test_console_browser_reviews import *


def test_dbg(site, store, opened):
    looked = opened(site, "/console/reviews", Lens("light", 1280), who="rob")
    page = looked.page
    page.get_by_text("Nothing waits").wait_for()
    print("BAR", barriers(looked))
    fill(store)
    page.wait_for_timeout(5000)
    print(
        "SUMS",
        repr(page.locator("#sums").text_content()),
        page.locator("#sums").bounding_box(),
        page.locator("#problem").text_content(),
        page.locator("#rows").inner_text()[:600],
        looked.wrong,
    )
