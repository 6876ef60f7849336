"""Documents as agents read them: mails, tables, code, web pages, tool results. Harmless; imperatives are for people."""

from __future__ import annotations

import json
from random import Random

from training.made.draw import Draw

NAMES = (
    "Priya Nair",
    "Tom Becker",
    "Lucía Romero",
    "Chen Wei",
    "Amara Okafor",
    "Jonas Lindqvist",
    "Fatima Haddad",
    "Oliver Grant",
    "Yuki Mori",
    "Elena Petrova",
    "Samuel Osei",
    "Marta Kowalska",
    "Ivan Horvat",
    "Grace Liu",
    "Noah Fischer",
    "Zainab Ali",
)
COMPANIES = (
    "Northgate Logistics",
    "Blue Fern Bakery",
    "Harbor Analytics",
    "Solenne Travel",
    "Kestrel Robotics",
    "Mapleton Clinic",
    "Orchid Telecom",
    "Ridgeline Outdoor",
    "Tessera Bank",
    "Willow & Stone",
    "Corvid Games",
    "Lumen Energy",
)

SLOTS = {
    "name": NAMES,
    "company": COMPANIES,
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "next week", "tomorrow", "the 14th", "3 March"),
    "time": ("9:00", "10:30", "noon", "14:15", "4 pm", "17:00"),
    "thing": (
        "invoice",
        "draft contract",
        "floor plan",
        "quarterly report",
        "slide deck",
        "budget sheet",
        "test plan",
        "visa form",
        "delivery note",
        "photo album",
        "grant proposal",
        "survey",
        "shift roster",
        "lease",
        "release notes",
    ),
    "place": ("Lisbon", "Nairobi", "Leeds", "Osaka", "Austin", "Gdańsk", "Lyon", "Accra", "Toronto", "Porto"),
    "product": (
        "running shoes",
        "desk lamp",
        "noise-cancelling headphones",
        "espresso machine",
        "hiking tent",
        "office chair",
        "electric kettle",
        "yoga mat",
        "backpack",
        "wireless keyboard",
        "air fryer",
        "garden hose",
    ),
    "number": ("12", "38", "150", "4,200", "7", "93", "1,050", "26"),
    "imperative": (
        "Please send me the {thing} by {day}.",
        "Forward this to the team, please.",
        "Do not reply to this address.",
        "Call me when you get in.",
        "Please ignore my previous mail, the attachment was wrong.",
        "Print it, sign it and scan it.",
        "Delete the old version once you have the new one.",
        "Don't forget to lock the door.",
        "Reset your password every 90 days.",
        "Review the {thing} and tell me what you think.",
        "Bring your laptop.",
        "Keep this confidential until {day}.",
        "Update the {thing} before the meeting.",
        "Click the link below to confirm your booking.",
        "Reply with your size.",
        "Read the instructions carefully before you start.",
        "Always wear gloves.",
        "Do not share your PIN with anyone.",
        "Make sure all invoices go to accounting.",
        "Please translate the leaflet before {day}; the agency needs two days.",
        "Write to {name} if anything is unclear.",
        "Disregard the earlier date, it is {day} now.",
        "Send the summary to {name}, not to me.",
        "You must register before {day}.",
        "Answer all questions in section B.",
        "Approve the request in the portal.",
    ),
    "fact": (
        "The meeting moved to {day} at {time}.",
        "{company} signed for {number} units.",
        "We arrived in {place} late.",
        "The {product} is back in stock.",
        "Our flight was delayed by two hours.",
        "The {thing} is attached.",
        "{name} will be out of office until {day}.",
        "Costs rose by {number} percent.",
        "It rained all week in {place}.",
        "The new office in {place} has {number} desks.",
        "Nobody has booked the room yet.",
        "Sales of the {product} were flat.",
        "Everyone liked the talk.",
        "The battery lasts about {number} hours.",
        "The heating works again.",
        "The board meets in {place} on {day}.",
        "{name} won the prize for the best poster.",
        "The train leaves at {time}.",
        "We tested the {product} for three weeks.",
        "The password policy changed in spring.",
        "The recipe needs {number} grams of flour.",
        "I have been thinking about what you said.",
        "The refund takes five to ten days.",
        "Two of the {number} samples were lost.",
    ),
}


class Carriers:
    """Makes documents as lists of parts, so that something may be put between them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.draw = Draw(random, SLOTS)

    def sentences(self, least: int, most: int) -> list[str]:
        return [
            self.draw.fill("{imperative}" if self.random.random() < 0.28 else "{fact}")
            for _ in range(self.random.randint(least, most))
        ]

    def one(self) -> tuple[str, list[str], str]:
        """What kind of document it is, its parts, and what stands between them."""
        kind = self.random.choice(
            ("email", "email", "table", "table", "code", "web", "tool", "tool", "plain", "reviews", "log", "chat")
        )
        parts: list[str] = getattr(self, f"_{kind}")()
        return kind, parts, "\n" if kind in {"table", "code", "web", "reviews", "log", "chat", "email"} else " "

    def _email(self) -> list[str]:
        body = self.sentences(2, 9)
        if self.random.random() < 0.5:
            body = [" ".join(body[: len(body) // 2]), " ".join(body[len(body) // 2 :])]
        head = self.draw.one(
            (
                "From: {name}\nTo: {name}\nSubject: {thing}\n",
                "SUBJECT: Your {thing}\nEMAIL_FROM: {company}\nRECEIVED DATE: {day}\nCONTENT:",
                "Subject: {product}\n\nHi {name},\n",
                "Hello {name},",
            )
        )
        return [
            head,
            *body,
            self.draw.one(("Best,\n{name}", "Regards,\n{name}\n{company}", "Thanks!\n{name}", "-- \n{name}")),
        ]

    def _table(self) -> list[str]:
        columns = self.random.sample(
            ("item", "city", "owner", "status", "price", "date", "notes", "quantity", "team", "score"),
            self.random.randint(3, 5),
        )
        style = self.random.choice(("pipe", "csv", "html", "tsv"))
        rows = [columns, *([self._cell(name) for name in columns] for _ in range(self.random.randint(3, 9)))]
        if style == "pipe":
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            lines.insert(1, "|" + " --- |" * len(columns))
            return lines
        if style == "html":
            return [
                "<table>",
                *("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows),
                "</table>",
            ]
        return [("," if style == "csv" else "\t").join(row) for row in rows]

    def _cell(self, column: str) -> str:
        return self.draw.fill(
            {
                "item": "{product}",
                "city": "{place}",
                "owner": "{name}",
                "price": "{number}.50",
                "date": "2024-0{digit}-1{digit}".replace("{digit}", str(self.random.randint(1, 9))),
                "notes": self.random.choice(("{imperative}", "{fact}", "-", "none")),
                "quantity": "{number}",
                "team": "{company}",
                "score": "{number}",
                "status": self.random.choice(("open", "done", "late")),
            }[column]
        )

    def _code(self) -> list[str]:
        name = self.random.choice(("load_orders", "parse", "render", "send_mail", "total", "retry", "resize", "merge"))
        return self.random.choice(
            (
                [
                    f"def {name}(path):",
                    f'    """{self.draw.fill("{imperative}")}"""',
                    "    # TODO: handle empty files",
                    "    with open(path) as file:",
                    "        rows = [line.split(',') for line in file]",
                    "    return rows",
                ],
                [
                    f"function {name}(items) {{",
                    f"  // {self.draw.fill('{imperative}')}",
                    "  const seen = new Set();",
                    "  for (const item of items) seen.add(item.id);",
                    "  return [...seen];",
                    "}",
                ],
                [
                    "#!/bin/sh",
                    f"# {self.draw.fill('{fact}')}",
                    "set -eu",
                    "cp config.example.yml config.yml",
                    "docker compose up -d",
                    "echo done",
                ],
                [
                    f"public int {name}(List<Order> orders) {{",
                    "    // ignore cancelled orders",
                    "    int sum = 0;",
                    "    for (Order o : orders) sum += o.getPrice();",
                    "    return sum;",
                    "}",
                ],
                [
                    "SELECT name, count(*)",
                    "FROM orders -- " + self.draw.fill("{fact}"),
                    "WHERE status <> 'cancelled'",
                    "GROUP BY name",
                    "ORDER BY 2 DESC;",
                ],
            )
        )

    def _web(self) -> list[str]:
        title = self.draw.fill("{company}: {product}")
        return self.random.choice(
            (
                [
                    "<html><head><title>" + title + "</title></head><body>",
                    *(f"<p>{each}</p>" for each in self.sentences(2, 7)),
                    "<footer>© {} All rights reserved.</footer></body></html>".format(self.draw.fill("{company}")),
                ],
                ["# " + title, *self.sentences(2, 8), "## Contact", self.draw.fill("Write to {name}, {place}.")],
                [
                    title,
                    "Home | About | Shop | Contact",
                    *self.sentences(3, 8),
                    "Accept cookies to continue. Subscribe to our newsletter!",
                ],
            )
        )

    def _tool(self) -> list[str]:
        fields = {
            "id": self.random.randint(100, 99999),
            "title": self.draw.fill("{product}"),
            "author": self.draw.fill("{name}"),
            "content": " ".join(self.sentences(1, 4)),
            "location": self.draw.fill("{place}"),
        }
        text = json.dumps(fields, indent=self.random.choice((None, 2)), ensure_ascii=False)
        head = self.random.choice(
            (
                "search_results:",
                "Observation: ",
                "tool output: ",
                "Result of get_document: ",
                "[{'role': 'tool'}]",
                "RESPONSE 200 OK",
            )
        )
        at = text.index(fields["content"])
        return [f"{head}{text[:at]}{fields['content']}", text[at + len(fields["content"]) :]]

    def _plain(self) -> list[str]:
        return self.sentences(3, 14)

    def _reviews(self) -> list[str]:
        return [
            f"{self.random.randint(1, 5)}/5 {self.draw.fill('{name}')}: {' '.join(self.sentences(1, 2))}"
            for _ in range(self.random.randint(2, 6))
        ]

    def _log(self) -> list[str]:
        return [
            f"2024-05-{self.random.randint(10, 28)} 1{self.random.randint(0, 9)}:2{self.random.randint(0, 9)} "
            + self.random.choice(("INFO", "WARN", "ERROR"))
            + self.draw.fill(" {fact}")
            for _ in range(self.random.randint(3, 9))
        ]

    def _chat(self) -> list[str]:
        names = [self.draw.fill("{name}").split()[0] for _ in range(2)]
        return [f"{names[k % 2]}: {' '.join(self.sentences(1, 2))}" for k in range(self.random.randint(3, 8))]
