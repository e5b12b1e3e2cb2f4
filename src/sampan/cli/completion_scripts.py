"""Completion scripts for bash, zsh and fish: static text made from the tables.

What they start is the listing of a kind (`sampan ps`, `sampan images` …), where one of that kind is to be named.
"""

from __future__ import annotations

import re

from sampan.cli.catalogue import command_names
from sampan.cli.commands import GROUPS, OPTIONS, TOP_LEVEL, command_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.cli.grammar import Row

# What the usage calls one of a kind, and the command that lists the names of all.
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "container": (("CONTAINER", "NAME|ID"), "ps -a --format '{{.Names}}'"),
    "image": (
        ("IMAGE", "SOURCE_IMAGE", "NAME|ID"),
        "images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'",
    ),
    "network": (("NETWORK", "NAME|ID"), "network ls --format '{{.Name}}'"),
    "volume": (("VOLUME", "NAME|ID"), "volume ls --quiet"),
    "secret": (("SECRET",), "secret ls --format '{{.Name}}'"),
    "config": (("CONFIG",), "config ls --format '{{.Name}}'"),
    "running": ((), "ps --format '{{.Names}}'"),
}
# Commands for which containers that have ended are of no use.
_OF_RUNNING = frozenset({"attach", "exec", "kill", "limits", "nsenter", "pause", "stop", "unpause", "wait"})
_FILES = frozenset({"ARG", "COMMAND", "FILE", "PATH", "SOURCE", "TARGET"})
_DROPPED = re.compile(r"\[[^]]*OPTIONS\]|\[--[^]]*\]|\[\.\.\.\]|\[VOLUME\]|(?<= )--\w+|^--\w+")
# Options whose value is one of a kind, or one of these words.
_VALUES = {
    "--call": "build check",
    "--cgroupns": "host private",
    "--health-on-failure": "none restart stop kill",
    "--link": "container",
    "--log-driver": "json-file local journald syslog none",
    "--network": "network",
    "--progress": "auto tty plain rawjson quiet",
    "--pull": "always missing never",
    "--resource-view": "auto full host",
    "--restart": "no always unless-stopped on-failure",
    "--signal": "HUP INT QUIT USR1 USR2 TERM KILL STOP CONT",
    "--stop-signal": "HUP INT QUIT USR1 USR2 TERM KILL",
    "--volumes-from": "container",
}


def argument_places(module: str) -> list[list[str]]:
    """What may stand in the place of the command's first word, its second and so on: kinds of `KINDS`, "file", words.

    The last one is for all that follow. In a place of nothing that completion knows is nothing.
    """
    places: list[list[str]] = []
    for form in command_module(module).USAGE:
        end = [] if form.endswith("...]") else [""]
        for at, token in enumerate([*_DROPPED.sub("", form).split(), *end]):
            if at == len(places):
                places.append([])
            places[at] += [kind for kind in _kinds(module, token) if kind not in places[at]]
    return places


def _kinds(module: str, token: str) -> list[str]:
    if re.fullmatch(r"[a-z]+(\|[a-z]+)*", token):
        return token.split("|")
    words = re.findall(r"[A-Z][A-Z_|]*", token)
    found = [kind for kind, (names, _) in KINDS.items() if not {*names}.isdisjoint(words)]
    if module in _OF_RUNNING:
        found = ["running" if kind == "container" else kind for kind in found]
    is_file = not _FILES.isdisjoint("|".join(words).split("|"))
    return [*found, *(["file"] if is_file else [])]


def argument_kinds(module: str) -> list[str]:
    """The kinds of `KINDS` that the command's words name."""
    found = {kind for place in argument_places(module) for kind in place}
    return [kind for kind in KINDS if kind in found]


def _words(rows: Sequence[Row]) -> list[str]:
    found = [f"--{row[0]}" for row in rows if row[2] != "alias"]
    return sorted([*found, *(f"-{row[1]}" for row in rows if row[1]), "--help"])


def _with_value(rows: Sequence[Row]) -> list[str]:
    valued = [row for row in rows if row[2] not in {"bool", "alias"}]
    return sorted([f"--{row[0]}" for row in valued] + [f"-{row[1]}" for row in valued if row[1]])


def _bash_commands() -> list[str]:
    """What may follow each command: its options, those of them with a value, and what is in its places."""
    lines = ["  local options= valued= names= kinds= kind= files= at=0 places=()", "  case $command in"]
    lines += [f'    "") options="{" ".join(_words(OPTIONS))}"; names="{" ".join(sorted({*TOP_LEVEL, *GROUPS}))}" ;;']
    for group, (_, commands) in sorted(GROUPS.items()):
        lines.append(f'    {group}) names="{" ".join(sorted(commands))}" ;;')
    for name, module in command_names():
        rows = command_module(module).OPTIONS
        places = " ".join(f'"{" ".join(place)}"' for place in argument_places(module))
        lines.append(f'    "{" ".join(name)}") places=({places})')
        lines.append(f'      options="{" ".join(_words(rows))}"')
        lines.append(f'      valued=" {" ".join(_with_value(rows))} " ;;')
    return lines


def bash() -> str:
    """A script for bash, to be sourced or put into its completions folder as `sampan`."""
    lines = ["# bash completion for sampan, made by `sampan completion bash`", "_sampan() {"]
    lines += ["  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= index=1"]
    lines += ["  while ((index < COMP_CWORD)); do", "    case ${COMP_WORDS[index]} in"]
    lines += [f"      {'|'.join(_with_value(OPTIONS))}) ((index++)) ;;", "      -*) ;;"]
    lines += [f"      {'|'.join(sorted(GROUPS))})"]
    lines += [
        "        if [[ -z $command ]]; then command=${COMP_WORDS[index]}",
        '        else command+=" ${COMP_WORDS[index]}"; break; fi ;;',
    ]
    lines += [
        '      *) command="${command:+$command }${COMP_WORDS[index]}"; break ;;',
        "    esac",
        "    ((index++))",
        "  done",
    ]
    lines += _bash_commands()
    lines += [
        "  esac",
        "  while ((++index < COMP_CWORD)); do",
        "    case ${COMP_WORDS[index]} in",
        '      -*) [[ $valued == *" ${COMP_WORDS[index]} "* ]] && ((index++)) ;;',
        "      *) ((at < ${#places[@]} - 1)) && ((at++)) ;;",
        "    esac",
        "  done",
        "  kinds=${places[at]-}",
    ]
    lines += ['  if [[ $valued == *" $previous "* ]]; then', "    case $previous in"]
    lines += [f'      {option}) kinds="{kind}" ;;' for option, kind in _VALUES.items()]
    lines += ['      *) COMPREPLY=($(compgen -f -- "$current")); return ;;', "    esac"]
    lines += ["  elif [[ $current == -* ]]; then kinds= names=$options", "  fi"]
    lines += ["  for kind in $kinds; do", "    case $kind in"]
    lines += [f'      {kind}) names+=" $(sampan {listing} 2>/dev/null)" ;;' for kind, (_, listing) in KINDS.items()]
    lines += ["      file) files=1 ;;", '      *) names+=" $kind" ;;', "    esac", "  done"]
    lines += [
        '  COMPREPLY=($(compgen -W "$names" -- "$current"))',
        '  [[ ${#COMPREPLY[@]} == 0 && $files ]] && COMPREPLY=($(compgen -f -- "$current"))',
    ]
    return "\n".join([*lines, "}", "complete -F _sampan sampan", ""])


def _zsh_text(text: str) -> str:
    return text.replace("'", "").replace("[", "(").replace("]", ")").replace(":", "\\:").replace("`", "")


def _zsh_options(rows: Sequence[Row]) -> list[str]:
    found = []
    for long, short, kind, _, summary in rows:
        if kind == "alias":
            continue
        value = "" if kind == "bool" else f":{kind}:_files"
        found.append(f"'--{long}{'' if kind == 'bool' else '='}[{_zsh_text(summary)}]{value}'")
        if short:
            found.append(f"'-{short}[{_zsh_text(summary)}]{value}'")
    return found


def zsh() -> str:
    """A script for zsh, to be put into a folder of $fpath as `_sampan`."""
    lines = ["#compdef sampan", "# zsh completion for sampan, made by `sampan completion zsh`", ""]
    lines += [
        f'_sampan_{kind}s() {{ compadd -- ${{(f)"$(sampan {listing} 2>/dev/null)"}} }}'
        for kind, (_, listing) in KINDS.items()
    ]
    for title, names in (("", TOP_LEVEL), *((group, commands) for group, (_, commands) in sorted(GROUPS.items()))):
        lines += ["", f"_sampan_{title or 'top'}_names() {{", "  local -a names=("]
        lines += [f"    '{name}:{_zsh_text(command_module(module).SUMMARY)}'" for name, module in sorted(names.items())]
        if not title:
            lines += [f"    '{group}:{_zsh_text(summary)}'" for group, (summary, _) in sorted(GROUPS.items())]
        lines += ["  )", "  _describe command names", "}"]
    lines += ["", "_sampan() {", "  local curcontext=$curcontext state line", "  local -i at=2"]
    lines += ["  while (( at < CURRENT )) && [[ $words[at] == -* ]]; do (( at++ )); done"]
    lines += [
        "  if (( at >= CURRENT )); then",
        f"    _arguments {' '.join(_zsh_options(OPTIONS))} '*::command:_sampan_top_names'",
        "    return",
        "  fi",
    ]
    lines += ["  local command=$words[at]", f"  if [[ $command == ({'|'.join(sorted(GROUPS))}) ]]; then"]
    lines += ["    if (( at + 1 >= CURRENT )); then _sampan_${command}_names; return; fi"]
    lines += [
        '    command="$command $words[at+1]"; (( at++ ))',
        "  fi",
        "  shift $(( at - 1 )) words; (( CURRENT -= at - 1 ))",
        "  case $command in",
    ]
    for name, module in command_names():
        kinds = argument_kinds(module)
        listed = "; ".join(f"_sampan_{kind}s" for kind in kinds)
        rest = f"'*:{' or '.join(kinds)}:{{{listed}}}'" if kinds else "'*:file:_files'"
        lines.append(
            f"    '{' '.join(name)}') _arguments -s {' '.join(_zsh_options(command_module(module).OPTIONS))} {rest} ;;"
        )
    return "\n".join([*lines, "  esac", "}", "", '_sampan "$@"', ""])


def _fish_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def fish() -> str:
    """A script for fish, to be put into its completions folder as `sampan.fish`."""
    lines = ["# fish completion for sampan, made by `sampan completion fish`", "complete -c sampan -f"]
    for name, module in sorted(TOP_LEVEL.items()):
        lines.append(
            f"complete -c sampan -n __fish_use_subcommand -a {name} -d '{_fish_text(command_module(module).SUMMARY)}'"
        )
    for group, (summary, commands) in sorted(GROUPS.items()):
        if group not in TOP_LEVEL:
            lines.append(f"complete -c sampan -n __fish_use_subcommand -a {group} -d '{_fish_text(summary)}'")
        seen = f"__fish_seen_subcommand_from {group}; and not __fish_seen_subcommand_from {' '.join(sorted(commands))}"
        for name, module in sorted(commands.items()):
            lines.append(f"complete -c sampan -n '{seen}' -a {name} -d '{_fish_text(command_module(module).SUMMARY)}'")
    lines += [f"complete -c sampan -n __fish_use_subcommand {_fish_option(row)}" for row in OPTIONS]
    for words, module in command_names():
        seen = "; and ".join(f"__fish_seen_subcommand_from {part}" for part in words)
        rows = [row for row in command_module(module).OPTIONS if row[2] != "alias"]
        lines += [f"complete -c sampan -n '{seen}' {_fish_option(row)}" for row in rows]
        for kind in argument_kinds(module):
            listing = KINDS[kind][1].replace("'", '"')
            lines.append(f"complete -c sampan -n '{seen}' -a '(sampan {listing} 2>/dev/null)'")
    return "\n".join([*lines, ""])


def _fish_option(row: Row) -> str:
    long, short, kind, _, summary = row
    value = "" if kind == "bool" else " -r"
    return f"-l {long}{f' -s {short}' if short else ''}{value} -d '{_fish_text(summary)}'"
