"""The forms of a report on an adapter: a page for people, and Croissant for programs. Pure."""

from typing import Any

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FIELDS = {
    "song": "sc:Text",
    "live_set": "sc:Text",
    "audio_sha256": "sc:Text",
    "seconds": "sc:Float",
    "held_out": "sc:Boolean",
    "permitted_then": "sc:Boolean",
    "withdrawn_since": "sc:Text",
}


def as_markdown(report: dict[str, Any]) -> str:
    """Return a page: the adapter, a summary by the sections of the EU's template, and every song."""
    adapter, base, training, totals = (report[name] for name in ("adapter", "base", "training", "totals"))
    lines = [
        f"# What {_text(adapter['name'])} was trained on",
        "",
        f"- Artist: {_text(report['artist']['name'])} (`{report['artist']['slug']}`)",
        f"- Training run: `{adapter['run']}`, begun {training['begun']}, finished {training['finished'] or 'never'}",
        f"- Adapter: SHA-256 `{adapter['sha256']}`, {_publication(adapter)}",
        f"- Base: {_text(base['name'])} ({base['generator']}), revision {_text(base['revision'] or 'unknown')}, "
        f"licence {_text(base['licence'] or 'unknown')}",
        f"- Recipe: {_text(training['recipe'] or 'unknown')}, {training['steps'] or '?'} steps; "
        f"software: {_versions(training['versions'])}",
        "",
        "## Summary of the training content",
        "",
        "By the sections of the European Commission's template for Art. 53(1)(d) of the AI Act, which a fine-tune of "
        "this size need not publish.",
        "",
        "### 1. General information",
        "",
        f"- Model: a LoRA of {_text(base['name'])}; modality: audio (music), with texts of up to a few sentences",
        f"- Size: {totals['songs']} songs, {_minutes(totals['seconds'])}"
        + (f" and {totals['of_unknown_length']} songs of unknown length" if totals["of_unknown_length"] else ""),
        f"- Dataset: {_dataset(report['dataset'])}",
        "",
        "### 2. Sources",
        "",
        "- Publicly available data sets: none",
        f"- Data licensed from rights holders: {_licensed(report)}",
        "- Other data obtained from third parties: none",
        "- Data of the artist, without a permission on record: "
        f"{totals['songs'] - totals['permitted_then']} of {totals['songs']} songs",
        "- Data crawled or scraped from the web: none",
        "- Data of users of the service: none",
        "- Synthetic data: none",
        "",
        "### 3. Processing",
        "",
        f"- Permissions: {totals['permitted_then']} of {totals['songs']} songs had one to train on record when the "
        "training began",
        f"- Withdrawn since: {totals['withdrawn_since']} songs (marked below)",
        "- Songs that somebody left out before are in no dataset; nothing was collected by machines",
        "",
        "## Songs",
        "",
        "| # | song | Live Set | seconds | audio (SHA-256) | permission then | since |",
        "|---|---|---|---|---|---|---|",
        *[_row(song) for song in report["songs"]],
        "",
        *([] if report["songs"] else ["None is on record: the adapter was imported.", ""]),
        "## What was found of it",
        "",
        *_found(report["evaluation"]),
    ]
    return "\n".join(lines) + "\n"


def as_croissant(report: dict[str, Any]) -> dict[str, Any]:
    """Return the dataset as Croissant 1.0 (JSON-LD): the archive, and a record for each song."""
    dataset = report["dataset"] or {}
    archive = {
        "@type": "cr:FileObject",
        "@id": "archive",
        "name": dataset.get("file"),
        "contentUrl": dataset.get("file"),
        "contentSize": f"{dataset.get('bytes')} B",
        "encodingFormat": "application/zip",
        "sha256": dataset.get("sha256"),
    }
    fields = [
        {"@type": "cr:Field", "@id": f"songs/{name}", "name": name, "dataType": kind} for name, kind in _FIELDS.items()
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{report['artist']['slug']}-{(dataset.get('fingerprint') or 'unknown')[:12]}",
        "description": f"What the LoRA {report['adapter']['name']} (training run {report['adapter']['run']}) was "
        "trained on: songs of one artist, with texts. Not published.",
        "creator": {"@type": "sc:Person", "name": report["artist"]["name"]},
        "license": "All rights reserved: used by the permissions that are named with each song.",
        "datePublished": dataset.get("finished"),
        "version": "1.0.0",
        "isLiveDataset": False,
        "distribution": [archive] if dataset.get("sha256") else [],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "songs",
                "name": "songs",
                "field": fields,
                "data": [{f"songs/{name}": song[name] for name in _FIELDS} for song in report["songs"]],
            }
        ],
    }


def _text(value: str) -> str:
    """Return a name so that no sign of it is Markdown's, on one line."""
    clean = "".join(character if character.isprintable() else " " for character in str(value))
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#&!" else character for character in clean)


def _publication(adapter: dict[str, Any]) -> str:
    if adapter["published"]:
        return "published"
    return _text(adapter["taken_down"] or "not published")


def _versions(versions: dict[str, str] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted((versions or {}).items())) or "unknown"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes of audio" if seconds >= 60 else f"{seconds:.0f} seconds of audio"


def _dataset(dataset: dict[str, Any] | None) -> str:
    if dataset is None:
        return "none on record"
    return f"fingerprint `{dataset['fingerprint']}`, archive SHA-256 `{dataset['sha256'] or 'unknown'}`"


def _licensed(report: dict[str, Any]) -> str:
    givers = {each["granted_by"] for song in report["songs"] for each in _held_then(song)}
    by = f", permitted by {', '.join(_text(giver) for giver in sorted(givers))}" if givers else ""
    return f"{report['totals']['permitted_then']} of {report['totals']['songs']} songs{by}"


def _held_then(song: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the song's permissions to train that were in force when the training began."""
    return [each for each in song["permissions"] if each["held_then"] and "train" in each["purposes"]]


def _row(song: dict[str, Any]) -> str:
    then = "; ".join(
        f"{_text(each['granted_by'])}, `{each['id'][:8]}`"
        + (f", {_text(each['evidence'])}" if each["evidence"] else "")
        for each in _held_then(song)
    )
    since = "" if song["withdrawn_since"] is None else f"**withdrawn {song['withdrawn_since'][:10]}**"
    if since and song["withdrawn_because"]:
        since += f": {_text(song['withdrawn_because'])}"
    name = _text(song["song"]) + (" (held out)" if song["held_out"] else "")
    cells = (song["position"], name, _text(song["live_set"] or "none"), song["seconds"] or "?")
    return f"| {' | '.join(map(str, cells))} | `{song['audio_sha256'][:16]}…` | {then or 'none on record'} | {since} |"


def _found(evaluation: dict[str, Any] | None) -> list[str]:
    if evaluation is None:
        return ["It was not evaluated."]
    copies = evaluation["copies"]
    copied = (
        "nobody looked for copies"
        if copies is None
        else f"{copies['copied_seconds']:g} s copied at most in one of {copies['renderings']} renderings, held against "
        f"{copies['songs']} songs"
    )
    return [
        f"- Verdict: {evaluation['verdict']} ({_text('; '.join(evaluation['reasons']))})",
        f"- Decision: {_text(evaluation['decision'] or 'none yet')}",
        f"- Copies of songs in renderings: {copied}",
    ]
