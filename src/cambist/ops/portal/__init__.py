"""The client portal: ask for a quote and trade it, send orders, look back, read the account. A process of its own, with the door and its own copy of history.

Files that decide: market (prices, ladder, trades as heard), asking (requests and their quotes), ordering (orders and answers), lookback (history, filters,
CSV), standing (the statement), sending (what was sent and what became of it). Shells: reach_shell (the house, followed and asked), *_pages_shell (the pages),
portal_shell (the process).
"""
