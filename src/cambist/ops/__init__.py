"""People: the pages by which clients trade and staff oversee, and what those pages read. No page reaches the node but through the door."""
