"""What portal and console share: sessions, sign-in, guards, drawing, files, live pages. Each app is a process with a port, a cookie and a file of its own.

How an app is made (cambist.ops.portal.portal_shell is the example):

    sessions = Sessions(directory / "read" / "NAME-sessions.db")            # sessions_shell: who is signed in, survives a kill; `.key` proves forms
    assets = Assets(own_folder, ...)                                        # assets_shell: web/static, htmx and uPlot; a folder of the app's own files if any
    pages = Pages("NAME", "Title", "cambist.ops.NAME", menu, assets.address)    # pages: templates of the package's folder `templates`, then of web/templates
    sign_in = SignIn("cambist_NAME", sessions, pages, check, admitted)      # sign_in_shell: check = Secrets.check_password, admitted(person) -> bool
    listening = bind(host, port)
    site = Site("NAME", sessions, sign_in, pages, assets, secure=bool(tls), hosts=own_hosts(host, port, certificate), say=say)
    gate = application(site, routes)                                        # application_shell: /login /logout /again /static are there already
    await serve_site(gate, listening, tls, stop, ready, closing=hub.close)

A page is `async def page(ask: Ask) -> Reply`, listed as `Route("GET", "/orders/{id:str}", page)`. By the time it runs, the guards (guards, application_shell)
have checked host, site of origin, size and shape of the form, the proof of the form, and that someone is signed in: `ask.session.person`. It refuses by
raising `Fault(status, "CODE", "words")`, which becomes a page (or, for htmx, a toast). Rules:
- A change is a POST. Its form has `{{ ui.proof(proof, proof_field) }}` and ends in `see_other(path)`. Fields are read by `only(ask.form, "name", ...)`.
- A command's client id is a hidden field: `command_id(sessions.key, ask.session.digest, "what", number, ...)` of sessions, the same each time the same form is
  drawn, so that a double click or a reload gets the first answer.
- A dangerous act first asks `need_fresh(ask, "/where/the/form/is")` (sign_in_shell): a Reply to return, or None when the password was given within 5 minutes.
- `pages.draw("template.html", ask, name=value)` draws whole pages (`{% extends "layout.html" %}`) and fragments alike. Everything is escaped; there is no
  inline script or style anywhere, and none would run. Components: `{% import "components.html" as ui with context %}`.
- A live page has `<div data-live="/live/orders?...">` around (or beside) its fragments, elements with ids. GET of that path returns
  `hub.open(ask, frozenset({"account:7", "book:1"}), render)`; `async def render() -> {"element-id": html}` draws every fragment; what changed since
  the last turn is sent and morphed into the element (its inside), focus kept. `hub.tell("account:7")` after something changed;
  `hub.note("account:7", "good", "words")` is a toast. While an element with data-stale="words" is there, the line says those words instead of "live".
- Numbers in tables: class "num"; filters `number`, `signed`, `clock`, `date`, `words`. A countdown is `{{ ui.countdown(until_ns) }}`. A chart is
  `{{ ui.chart("id", times_s, values, "label") }}`. Keys: an element with data-key="b" is pressed by that key, `Place(path, name, letter)` of the menu by
  `g` and the letter, an input with data-search by "/"; "?" lists them all. A confirmation is `{% call ui.confirm(...) %}`.
"""
