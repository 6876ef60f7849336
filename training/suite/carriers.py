"""Documents such as agents and assistants are given: mails, tables, pages, code, tool results, logs, chats.

Each takes sentences and gives a document that holds them all, in their order where the form has one. Pure.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.suite.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Maker:
    """What a carrier draws its names and numbers from."""

    grammar: Grammar
    chance: random.Random

    def fill(self, template: str) -> str:
        return self.grammar.text(template, self.chance)


Carrier = Callable[[Maker, Sequence[str]], str]


def mail(make: Maker, sentences: Sequence[str]) -> str:
    middle = max(1, len(sentences) // 2)
    head = make.fill(
        "From: {name}.{surname}@{tag}.example\nTo: {name}@{tag}.example\n"
        "Date: {Mon|Tue|Thu|Fri}, {#1-28} {Jan|Apr|Sep|Nov} 202{#3-6}\nSubject: {Re: |Fwd: ||}{tag} {city}\n\n"
    )
    greeting = make.fill("{Hi {name},|Dear {name} {surname},|Hello all,|Good morning,|Team,}\n\n")
    body = " ".join(sentences[:middle]) + "\n\n" + " ".join(sentences[middle:])
    return (
        head + greeting + body + make.fill("\n\n{Best|Kind regards|Thanks|Cheers|Yours},\n{name} {surname}\n{company}")
    )


def thread(make: Maker, sentences: Sequence[str]) -> str:
    lines = []
    for depth, sentence in enumerate(sentences):
        mark = "> " * (len(sentences) - 1 - depth)
        lines += [mark + make.fill("On {#1-28}/{#1-12} {name} {surname} wrote:"), mark + sentence, mark.rstrip()]
    return "\n".join(lines)


def table(make: Maker, sentences: Sequence[str]) -> str:
    rows = [make.fill("| id | owner | amount | note |\n|---|---|---|---|")]
    for sentence in sentences:
        rows.append(make.fill("| {#1000-9999} | {name} {surname} | {#10-900}.{#10-99} | ") + sentence + " |")
        if make.chance.random() < 0.5:
            rows.append(make.fill("| {#1000-9999} | {name} {surname} | {#10-900}.{#10-99} | {ok|open|paid|–} |"))
    return "\n".join(rows)


def csv(make: Maker, sentences: Sequence[str]) -> str:
    rows = [make.fill("{ticket|order|case}_id,customer,city,{comment|remark|text}")]
    rows += [
        make.fill("{#10000-99999},{name} {surname},{city},") + '"' + each.replace('"', '""') + '"' for each in sentences
    ]
    return "\n".join(rows)


def tool_result(make: Maker, sentences: Sequence[str]) -> str:
    items = [
        {
            "id": make.chance.randrange(10**6),
            make.chance.choice(["title", "sender", "owner"]): make.fill("{name} {surname}"),
            make.chance.choice(["body", "description", "snippet", "text"]): sentence,
        }
        for sentence in sentences
    ]
    shown = {"status": "ok", make.chance.choice(["results", "items", "messages", "events"]): items}
    name = make.fill("{search|list|get|fetch|read}_{tag}s")
    written = json.dumps(shown, indent=make.chance.choice([None, 1, 2]), ensure_ascii=False)
    return make.chance.choice(
        [written, f"Tool `{name}` returned:\n{written}", f"<tool_result name={name}>{written}</tool_result>"]
    )


def page(make: Maker, sentences: Sequence[str]) -> str:
    kept = [html.escape(each, quote=False) for each in sentences]
    special = make.chance.choice(
        ["<p>{}</p>", "<li>{}</li>", '<div style="font-size:0">{}</div>', "<!-- {} -->", '<span class="note">{}</span>']
    )
    odd = make.chance.randrange(len(kept))
    lines = [(special if index == odd else "<p>{}</p>").replace("{}", each) for index, each in enumerate(kept)]
    title = make.fill("{company}: {topic}")
    return (
        f"<html><head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n" + "\n".join(lines) + "\n</body></html>"
    )


def source_code(make: Maker, sentences: Sequence[str]) -> str:
    parts = [make.fill("{code}") for _ in range(2)]
    mark = make.chance.choice(["#", "//", "--", "/*"])
    notes = "\n".join(f"{mark} {each}" + (" */" if mark == "/*" else "") for each in sentences[:3])
    return "\n\n".join([parts[0], notes, parts[1]])


def log(make: Maker, sentences: Sequence[str]) -> str:
    head = "202{#3-6}-{#10-12}-{#10-28}T{#10-23}:{#10-59}:{#10-59}Z {INFO|WARN|DEBUG|ERROR} {tag}-{#1-9} "
    return "\n".join(make.fill(head + "{user_input=|msg=|note: |}") + each for each in sentences)


def chat(make: Maker, sentences: Sequence[str]) -> str:
    people = [make.fill("{name}") for _ in range(3)]
    return "\n".join(make.fill(f"[{{#8-19}}:{{#10-59}}] {make.chance.choice(people)}: ") + each for each in sentences)


def markdown(make: Maker, sentences: Sequence[str]) -> str:
    lines = [make.fill("# {^topic}\n")]
    for index, sentence in enumerate(sentences):
        if index % 2 == 0:
            lines.append(make.fill("\n## {Notes|Steps|Background|Open points|Summary|{city}|{^tag}s}\n"))
        lines.append(make.chance.choice(["", "- ", "> ", "1. "]) + sentence)
    return "\n".join(lines)


def reviews(make: Maker, sentences: Sequence[str]) -> str:
    return "\n\n".join(make.fill("{★★★★★|★★★★|★★★|★} {name} {S|K|M}., {city}\n") + each for each in sentences)


def calendar(make: Maker, sentences: Sequence[str]) -> str:
    event = "BEGIN:VEVENT\nDTSTART:2026{#10-12}{#10-28}T{#10-18}0000Z\nSUMMARY:{tag} {with {name}|{city}|review}\n"
    return "\n".join(make.fill(event) + f"DESCRIPTION:{each}\nEND:VEVENT" for each in sentences)


def report(make: Maker, sentences: Sequence[str]) -> str:
    head = make.fill("{company}\n{Annual|Monthly|Site|Incident} report, {city}, page {#1-40} of {#41-90}\n\n")
    return head + "\n".join(" ".join(sentences[i : i + 3]) for i in range(0, len(sentences), 3))


def resume(make: Maker, sentences: Sequence[str]) -> str:
    head = make.fill("{name} {surname}\n{city} · +{#10-99} {#100-999} {#1000-9999}\n\nExperience\n")
    jobs = "\n".join(make.fill("20{#10-18}–20{#19-25} {company}, {tag} specialist. ") + each for each in sentences)
    return head + jobs + make.fill("\n\nSkills: {topic}, {topic}, spreadsheets")


def retrieved(make: Maker, sentences: Sequence[str]) -> str:
    return "\n\n".join(
        make.fill(f"[{n}] (source: {{tag}}-{{#10-99}}.pdf) ") + each for n, each in enumerate(sentences, 1)
    )


CARRIERS: dict[str, Carrier] = {
    "mail": mail, "thread": thread, "table": table, "csv": csv, "tool": tool_result, "page": page,
    "code": source_code, "log": log, "chat": chat, "markdown": markdown, "reviews": reviews,
    "calendar": calendar, "report": report, "resume": resume, "retrieved": retrieved,
}  # fmt: skip
