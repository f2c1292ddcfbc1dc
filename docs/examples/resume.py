"""Never miss and never double: remember the cursor of the last event that was handled, and go on from there after a crash."""
import sys
from pathlib import Path

from cambist.client import Client


def main(url: str = "http://127.0.0.1:8600", key: str = "acme-bot", private_key: str = "cambist-data/secrets/private/acme-bot.pem",
         remembered: str = "acme.cursor", most: int = 100) -> list[dict]:
    place, handled = Path(remembered), []
    cursor = int(place.read_text()) if place.exists() else 1    # 1: from the account's very first event
    with Client(url, key, private_key) as client:
        while page := client.read_events(cursor, limit=most - len(handled))["events"]:
            for event in page:
                print(event["cursor"], event["event"], event.get("order") or event.get("request") or "")
                handled.append(event)                           # here: do what is to be done, together with the next line, in one transaction
                cursor = event["cursor"] + 1
                place.write_text(str(cursor))
            if len(handled) >= most:
                break
    return handled


if __name__ == "__main__":
    main(*sys.argv[1:])
