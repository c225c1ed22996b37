"""The man pages, `workerless -h` and the examples say the same as the table of options, and what
they say of limits, metrics and signals is true. Each option rejects a bad value."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

from harness import metrics
from harness.config import shipped_permissions
from harness.fcgi import ask
from harness.fleet import wait_armed
from harness.servers import TOP, need, workerless_binary, wrapper_command
from harness.wait import wait_until

MANUAL = TOP / "conf/man"
DAEMON, CONFIG, PROTOCOL = (MANUAL / name for name in
                            ("workerless.8", "workerless.conf.5", "workerless-protocol.7"))
PAGES = [DAEMON, CONFIG, PROTOCOL]
README = TOP / "README.md"
COMMON = {"config", "help", "socket", "timeout"}  # options that many commands have


def workerless(*arguments: str) -> str:
    done = subprocess.run([*wrapper_command(), workerless_binary(), *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout


# --- the table of options


class Row(NamedTuple):
    """An option as -h lists it: NAME = DEFAULT  (LOW to HIGH)  (a or b)  (type TYPE)."""

    section: str    # "", cache, source, fragment or page
    name: str
    default: str    # as in the config; empty: none
    notes: Tuple[str, ...]

    @property
    def limits(self) -> Tuple[str, str]:
        found = [note.split(" to ") for note in self.notes if " to " in note]
        return (found[0][0], found[0][1]) if found else ("", "")

    @property
    def words(self) -> List[str]:
        found = [note for note in self.notes if " or " in note]
        return re.split(", | or ", found[0]) if found else []

    @property
    def type(self) -> str:
        """The type of source that has it; empty: all."""
        found = [note[len("type "):] for note in self.notes if note.startswith("type ")]
        return found[0] if found else ""

    @property
    def place(self) -> Tuple[str, str, str]:
        return self.section, self.type, self.name


def rows() -> List[Row]:
    found, section = [], ""
    for line in workerless("-h").partition("Config options")[2].splitlines():
        head = re.match(r"(\w+) .*\{$", line)
        section = head.group(1) if head else section
        indent = "    " if section else ""
        row = re.fullmatch(rf"{indent}([a-z]\w*)(?: = (\{{.*\}}|\"[^\"]*\"|\d+))?"
                           r"((?:  \([^)]*\))*)", line)
        if row and not head:
            notes = tuple(re.findall(r"\(([^)]*)\)", row.group(3)))
            found.append(Row(section, row.group(1), row.group(2) or "", notes))
    assert len(found) > 80, found
    return found


@pytest.fixture(name="table", scope="module")
def fixture_table() -> List[Row]:
    return rows()


# --- pages


SECTIONS = {"OPTIONS AT THE TOP LEVEL": "", "OPTIONS IN THE CACHE SECTION": "cache",
            "OPTIONS IN SOURCE SECTIONS": "source", "OPTIONS IN FRAGMENT SECTIONS": "fragment",
            "OPTIONS IN PAGE SECTIONS": "page"}


def described() -> Dict[Tuple[str, str, str], str]:
    """The first two lines on each option in workerless.conf(5), by the option's place."""
    found: Dict[Tuple[str, str, str], str] = {}
    section, type_name = None, ""
    lines = CONFIG.read_text("utf-8").splitlines()
    for line, *following in zip(lines, lines[1:], lines[2:]):
        if line.startswith(".Sh "):
            section, type_name = SECTIONS.get(line[4:]), ""
        if line.startswith(".Ss Type "):
            type_name = line[len(".Ss Type "):]
        option = re.fullmatch(r"\.It Ic (\w+)(?: Pq (\w+))?", line)
        if section is not None and option:
            place = (section, type_name, option.group(1))
            assert place not in found, place
            assert (option.group(2) or type_name) == type_name, line
            found[place] = "\n".join(following)
    return found


def test_what_a_reload_can_not_change(table):
    """workerless(8) lists exactly the options that -h marks, also those that two sections have."""
    text = DAEMON.read_text("utf-8").partition("keep their values until a restart")[2]
    listed = re.findall(r"\b([a-z]\w+)\b", " ".join(
        line[len(".Ic "):] for line in text.partition("\n.Pp")[0].splitlines()
        if line.startswith(".Ic ")))
    assert sorted(listed) == sorted(row.name for row in table if "restart" in row.notes)


def kind_of(row: Row) -> str:
    """How the page begins the sentence; empty: as it likes."""
    high = row.limits[1]
    if row.words:
        return "One of " + " or ".join([", ".join(row.words[:-1]), row.words[-1]])
    if "list" in row.notes:
        return "List"
    if "file" in row.notes:
        return "File"
    if " in " in high:
        return "Rate"
    if row.limits == ("0", "1"):
        return "Share"
    if high.endswith("B"):
        return "Size"
    return "Count" if high.isdigit() else "Duration" if high else ""


def test_each_option_has_its_entry(table):
    pages = described()
    assert sorted(pages) == sorted(row.place for row in table)
    for row in table:
        low, high = row.limits
        said = pages[row.place]
        assert said.startswith(kind_of(row)), (row, said)
        assert not high or f" from {low} to {high}" in said, (row, said)
        assert not row.default or f", default {row.default}." in said, (row, said)
        assert ("\nA change needs a restart." in said) == ("restart" in row.notes), (row, said)
        if not row.default:
            assert ("; required." if "required" in row.notes else "; none by default.") in said, row


def test_the_example_shows_each_option(table):
    example = (TOP / "conf/workerless.conf").read_text("utf-8")
    shown = set(re.findall(r"^[ #]*(\w+) = ", example, re.MULTILINE))
    assert [row.name for row in table if row.name not in shown] == []


def entries(page: Path) -> Set[str]:
    """What stands in the titles of a list's items, without commas."""
    text = page.read_text("utf-8").replace("\\\n", "")
    titles = re.findall(r"^\.It (.*)$", text, re.MULTILINE)
    return {word for title in titles for word in title.split()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_well_formed(page):
    done = subprocess.run([need("mandoc"), "-Tlint", "-W", "warning", str(page)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def shown(page: Path) -> str:
    """As it is read, without bold and underlined."""
    done = subprocess.run([need("mandoc"), "-Tascii", str(page)], stdout=subprocess.PIPE,
                          check=True)
    return re.sub(".\x08", "", done.stdout.decode("ascii"))


def test_commands_and_their_options():
    text = shown(DAEMON)
    commands = re.findall(r"^  (\w+)(?: [A-Z]\S*)?  ", workerless("--help"), re.MULTILINE)
    assert {"run", "check", "get", "purge", "status"} <= set(commands)
    for command in commands:
        entry = re.search(rf"^     {command}\b.*?(?=^     \w)", text, re.MULTILINE | re.DOTALL)
        assert entry, command
        for option in re.findall(r"^  .*?--(\w+)", workerless(command, "--help"), re.MULTILINE):
            where = text if option in COMMON else entry.group()
            assert f"--{option}" in where, (command, option)


# --- examples


def blocks(page: Path, section: str) -> List[str]:
    """The literal blocks in a section of a page."""
    text = page.read_text("utf-8").partition(f"\n.Sh {section}\n")[2].partition("\n.Sh ")[0]
    found = re.findall(r"^\.Bd -literal .*\n((?:.*\n)*?)\.Ed$", text, re.MULTILINE)
    return [block.replace("\\e", "\\") for block in found]


def test_the_smallest_config_is_complete(tmp):
    (tmp / "w.conf").write_text(blocks(CONFIG, "DESCRIPTION")[0], "utf-8")
    assert workerless("-t", "-c", str(tmp / "w.conf")).endswith("w.conf: ok\n")


def test_the_examples_of_a_config_load(tmp, monkeypatch):
    """The files that they name are put below `tmp`, and a source that they leave out is added."""
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    (tmp / "conf.d").mkdir()
    (tmp / "conf.d/no-news.html").write_text("<p>No news.</p>")
    (tmp / "token").write_text("secret")
    files = "".join(blocks(CONFIG, "EXAMPLES")).replace("/run/secrets/users", str(tmp / "token"))
    named = re.findall(r"^# /etc/workerless/(\S+)\n((?:(?!# ).*\n)*)", files, re.MULTILINE)
    assert [name for name, _ in named] == ["workerless.conf", "conf.d/news.conf"]
    for name, text in named:
        (tmp / name).write_text(text, "utf-8")
    with (tmp / "conf.d/news.conf").open("a", encoding="utf-8") as file:
        file.write('source "shop" { type = "simulated" }\n')
    said = workerless("-t", "-c", str(tmp / "workerless.conf"))
    assert said == f"{tmp}/workerless.conf: ok\n"


def test_fields_of_the_access_log():
    code = (TOP / "fcgi/web/access_format.h").read_text("utf-8")
    fields = re.findall(r'^    X\(\w+, +"(\w+)"\)', code, re.MULTILINE)
    text = CONFIG.read_text("utf-8").partition("\n.Sh ACCESS LOG\n")[2].partition("\n.Sh ")[0]
    assert re.findall(r"^\.It Ic (\w+)$", text, re.MULTILINE) == fields


def test_permissions():
    text = " ".join(blocks(PROTOCOL, "REDIS"))
    assert [word for word in shipped_permissions() if word not in text.split()] == []


# --- bad values


BAD_TEXT = {  # of options whose values are not numbers or words
    "type": "wrong", "source": "wrong", "socket_mode": "9", "log": "wrong",
    "redis": "http://127.0.0.1", "namespace": "", "url": "gopher://127.0.0.1/", "socket": "wrong",
    "body": "wrong", "fallback": "/wrong", "include": "/wrong", "user": "no such user",
    "group": "no such group", "file": "/wrong", "jobs": "a b", "access_log": "wrong",
    "access_log_format": "wrong", "templates": "/wrong", "template": "../wrong",
    "script": "wrong",
}
ANY_TEXT = {"tls_name"}  # have no bad value, but may not be set twice
NEEDS = {  # what a source of a type must have
    "http": {"url": 'url = "https://127.0.0.1/{name}"'},
    "fastcgi": {"socket": 'socket = "unix:/s"', "script": 'script = "/srv/{name}"'},
}
TLS_FILES = {"tls_ca", "tls_certificate", "tls_key"}


def more(high: str) -> str:
    """The next larger number, with the unit."""
    return re.sub(r"^\d+", lambda number: str(int(number.group()) + 1), high)


def bad_values(row: Row, redis_has_tls: bool) -> List[str]:
    """As they are written after the name."""
    low, high = row.limits
    if row.name in BAD_TEXT:
        return [f'"{BAD_TEXT[row.name]}"']
    if row.name in ANY_TEXT or (row.section == "cache" and row.name in TLS_FILES and
                                not redis_has_tls):
        return [f'"a"\n{row.name} = "a"']
    if row.name in TLS_FILES:
        return ['"/wrong"']
    if "list" in row.notes:
        return ['{""}']
    values = ['"wrong"']
    if high:
        values += [f'"{more(high)}"', f'"{"0" if low[0] != "0" else "-1"}"']
    else:
        assert row.words or row.name == "memory", f"which value of {row.name} is bad?"
    return values


def section_of(row: Row, number: int) -> Tuple[str, str]:
    """What stands before and after the option."""
    if row.section == "":
        return "", ""
    if row.section == "cache":
        return "cache {", "}"
    if row.section == "fragment":
        source = "" if row.name == "source" else 'source = "good"'
        return f'fragment "f{number}" {{ {source}', "}"
    if row.section == "page":
        file = "" if row.name == "file" else 'file = "/dev/null"'
        return f'page "/{number}" {{ {file}', "}"
    type_name = row.type or "simulated"
    type_line = "" if row.name == "type" else f'type = "{type_name}"'
    needs = " ".join(text for name, text in NEEDS.get(type_name, {}).items() if name != row.name)
    return f'source "s{number}" {{ {type_line} {needs}', "}"


def problems_of(config: Path, text: str) -> Dict[int, List[str]]:
    """The problems of a config, by the lines that they are in."""
    config.write_text('source "good" { type = "simulated" }\n' + text, "utf-8")
    found: Dict[int, List[str]] = {}
    for line in workerless("-t", "-c", str(config)).splitlines():
        where = re.match(rf"{re.escape(str(config))}:(\d+): (?!warning)(.*)", line)
        assert where, line
        found.setdefault(int(where.group(1)), []).append(where.group(2))
    return found


def bad_sections(table: List[Row]) -> Iterator[Tuple[Row, str]]:
    has_tls = "TLS to Redis: yes" in workerless("-V")
    number = 0
    for row in table:
        for value in bad_values(row, has_tls):
            number += 1
            before, after = section_of(row, number)
            yield row, f"{before}\n{row.name} = {value}\n{after}\n"


def batches(pairs: List[Tuple[Row, str]]) -> List[List[Tuple[Row, str]]]:
    """Many sections for one config; but an option that exists once is in it once."""
    found: List[List[Tuple[Row, str]]] = []
    for row, text in pairs:
        def has_room(batch: List[Tuple[Row, str]], row: Row = row) -> bool:
            return len(batch) < 40 and (row.section not in ("", "cache") or
                                        all(row.place != other.place for other, _ in batch))

        batch = next(filter(has_room, found), None)
        if batch is None:
            batch = []
            found.append(batch)
        batch.append((row, text))
    return found


def check_rejects(config: Path, head: str, pairs: List[Tuple[Row, str]]) -> None:
    found = problems_of(config, head + "".join(text for _, text in pairs) +
                        'fragment "*" { source = "good" }\n')
    line = 2 + head.count("\n")
    for row, text in pairs:
        said = [problem for number in range(line, line + text.count("\n"))
                for problem in found.get(number, [])]
        assert any(re.search(rf"\b{row.name}\b", problem) for problem in said), (text, said, found)
        line += text.count("\n")


@pytest.mark.seconds(180)
def test_each_option_rejects_bad_values(tmp, table):
    """The error names the file, the line and the option."""
    config, pairs = tmp / "bad.conf", list(bad_sections(table))
    files = [(row, text) for row, text in pairs
             if (row.section == "cache" or row.name == "templates") and '"/wrong"' in text]
    for pair in files:  # read only if the rest is sound, and the address is one with TLS
        check_rejects(config, 'cache { redis = "rediss://127.0.0.1" }\n', [pair])
    for batch in batches([pair for pair in pairs if pair not in files]):
        check_rejects(config, "", batch)


# --- limits, metrics, signals


def limits_table() -> List[Tuple[str, str, List[str]]]:
    """Of workerless(8): limit, default, names of metrics."""
    text = DAEMON.read_text("utf-8")
    found = re.findall(r"^(\w+)\t(\S+)\tT\{\n(?:.*\n)*?T\}\tT\{\n(.*)\nT\}$", text,
                       re.MULTILINE)
    assert len(found) > 25, found
    return [(name, default, re.sub(r"\\[%:]", "", names).split(", "))
            for name, default, names in found]


def test_each_limit_is_in_the_table(table):
    shown = {name: default for name, default, _ in limits_table()}
    for row in table:
        default = row.default.strip('"') or '""'
        if row.name.startswith("max_") or row.name.endswith("timeout"):
            assert row.name in shown, row
        if row.name in shown and row.name != "connections" and row.type in ("", "http"):
            assert shown[row.name] == default, row
    assert [name for name in shown if name not in {row.name for row in table}] == []


def families(names: Set[str]) -> Set[str]:
    return names | {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def named_metrics(path: Path) -> Set[str]:
    text = path.read_text("utf-8").replace("\\\n", "")
    return set(re.findall(r"\bworkerless_[a-z_]*[a-z]\b", text)) - {"workerless_module"}


def test_each_metric_exists(daemon, redis):
    server = daemon(redis=redis.url, extra='workers = 2\nsource "jobs" { type = "queue" }\n'
                                           'fragment "job" { source = "jobs" }\n')
    ask(server.address, "/fragment/a")
    wait_until(lambda: any(key[0] == "workerless_source_jobs" for key in
                           metrics.read(server.address)), "the jobs to be counted")
    values = metrics.read(server.address)
    names = families({key[0] for key in values})
    documents = [*PAGES, README, TOP / "conf/prometheus-alerts.yml",
                 TOP / "conf/grafana-workerless.json"]
    for document in documents:
        assert named_metrics(document) - names == set(), document.name
    refused = {key[1] for key in values if key[0] == "workerless_refused_total"}
    for limit, _, shown in limits_table():
        for name in shown:
            if name == "refused":
                assert f"limit={limit}" in refused
            else:
                assert f"workerless_{name}" in names, limit
    assert [name for name in refused if name.partition("=")[2] not in
            [limit for limit, _, shown in limits_table() if "refused" in shown]] == []
    missing = {name for name in names if not re.search("_(bucket|count|sum)$", name)}
    assert missing - named_metrics(PROTOCOL) == set(), "not in workerless-protocol(7)"


def test_each_path_is_explained():
    code = "\n".join((TOP / "fcgi/web" / name).read_text("utf-8")
                     for name in ("service.c", "explain.h", "route.h"))
    paths = set(re.findall(r'"(/(?:fragment|workerless)[\w/]*)"', code))
    assert len(paths) > 7, paths
    text = PROTOCOL.read_text("utf-8")
    assert [path for path in paths if path not in text] == []


def signals_in_the_code() -> Set[str]:
    """Of the daemon, not of the commands that talk to it."""
    files = [path for path in sorted((TOP / "fcgi").rglob("*.c")) if path.parent.name != "cli"]
    code = "\n".join(path.read_text("utf-8") for path in files)
    code = re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", "", code, flags=re.DOTALL)
    return set(re.findall(r"\bSIG[A-Z]+[0-9]*\b", code))


def test_each_signal_is_explained():
    other_names = {"SIGPOLL": "SIGIO"}
    not_received = {"SIGRTMIN", "SIGRTMAX", "SIGKILL"}
    found = {other_names.get(name, name) for name in signals_in_the_code() - not_received}
    assert {"SIGTERM", "SIGHUP", "SIGUSR2"} <= found
    assert found - entries(DAEMON) == set()


# --- what a fragment costs


def commands_answered(server) -> float:
    return metrics.read(server.address)[("workerless_redis_command_duration_seconds_count",)]


def commands_for(server, name: str) -> float:
    """How many commands Redis has answered for one request."""
    before = commands_answered(server)
    assert ask(server.address, f"/fragment/{name}").status == 200
    return commands_answered(server) - before


def test_commands_of_a_miss_and_a_hit(daemon, redis, name):
    """As workerless(8) counts them in its section on sizing."""
    maker = daemon(redis=redis.url)
    reader = daemon(redis=redis.url, extra='cache { memory = "0" }\n')
    wait_armed(redis, 2)
    before = commands_answered(maker)
    assert ask(maker.address, f"/fragment/{name}").status == 200
    maker.wait_counter("stores", 1)
    assert commands_answered(maker) - before == 4
    assert commands_for(maker, name) <= 1  # it may have been told of its own change
    assert commands_for(maker, name) == 0
    assert commands_for(reader, name) == 1
    redis.command("SET", f"worker:{name}-plain", "plain")
    assert commands_for(reader, f"{name}-plain") == 2


def test_commands_when_nothing_is_there(daemon, redis, name):
    """After many misses in a row."""
    server = daemon(redis=redis.url, extra='cache { memory = "0" }\n')
    wait_armed(redis)

    def asked(fragment: str) -> List[int]:
        """The lookups, claims and scripts for one request."""
        names = ("lookups", "claims", "scripts")
        before = server.counters()
        assert ask(server.address, f"/fragment/{fragment}").status == 200
        wait_until(lambda: not redis.command("EXISTS", f"lease:{{worker:{fragment}}}"),
                   "the lease to be released")
        after = server.counters()
        return [after[each] - before[each] for each in names]

    for number in range(32):
        assert asked(f"{name}-{number}") == [1, 1, 1]
    assert asked(f"{name}-32") == [0, 1, 1]
    redis.command("SET", f"worker:{name}-hit", "plain", "EX", 100)
    assert asked(f"{name}-hit") == [0, 1, 2]
    assert asked(f"{name}-hit") == [1, 0, 0]
