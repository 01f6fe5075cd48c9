// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answers, as text or JSON.

use std::fmt::Write;

use haiov::{Device, Features, Info};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::cli::{Command, Options};
use crate::debugfs::{self, Record, State};

/// What is shown without an object, in this order.
const EVERYTHING: [State; 7] =
    [State::Counters, State::Harts, State::Vms, State::Routes, State::Mmio, State::Signals, State::Contexts];

/// Makes the answer to what the user asked.
pub fn render(options: &Options) -> Result<String, Error> {
    let state = |state: State| state.read(&options.debugfs);
    match &options.command {
        None | Some(Command::Show) => {
            let info = info(options)?;
            let states = EVERYTHING.map(|s| (s, state(s)));
            Ok(if options.json { everything_json(&info, &states) } else { everything_text(&info, &states) })
        }
        Some(Command::Info { .. }) => {
            let info = info(options)?;
            Ok(if options.json { line(&info_json(&info)) } else { info_text(&info) })
        }
        Some(Command::Vm { .. }) => one(options, State::Vms),
        Some(Command::Route { .. }) => one(options, State::Routes),
        Some(Command::Mmio { .. }) => one(options, State::Mmio),
        Some(Command::Signal { .. }) => one(options, State::Signals),
        Some(Command::Context { .. }) => one(options, State::Contexts),
        Some(Command::Hart { .. }) => one(options, State::Harts),
        Some(Command::Counters { .. }) => one(options, State::Counters),
        // Not something to show.
        Some(Command::Generate { .. }) => Ok(String::new()),
    }
}

fn info(options: &Options) -> haiov::Result<Info> {
    Device::open_at(&options.device)?.info()
}

fn one(options: &Options, state: State) -> Result<String, Error> {
    let records = state.read(&options.debugfs)?;
    Ok(if options.json { line(&records_json(state, &records)) } else { records_text(state, &records) })
}

fn line(value: &Value) -> String {
    format!("{value:#}\n")
}

fn info_json(info: &Info) -> Value {
    json!({
        "features": feature_names(info.features),
        "harts": info.harts,
        "veiids_per_hart": info.veiids_per_hart,
        "cache_entries_per_hart": info.cache_entries_per_hart,
        "max_veirqs": info.max_veirqs,
    })
}

fn feature_names(features: Features) -> Vec<String> {
    let mut names = Vec::new();
    if features.vei() {
        names.push("vei".to_owned());
    }
    if features.uer() {
        names.push("uer".to_owned());
    }
    if features.hcs() {
        names.push("hcs".to_owned());
    }
    let known = haiov::raw::HAIOV_FEATURE_VEI | haiov::raw::HAIOV_FEATURE_UER | haiov::raw::HAIOV_FEATURE_HCS;
    let unknown = features.bits() & !u64::from(known);
    if unknown != 0 {
        names.push(format!("{unknown:#x}"));
    }
    names
}

fn info_text(info: &Info) -> String {
    if !info.features.vei() {
        return "hardware  none: this machine has no Xhaiov or no VEIC\n".into();
    }
    format!(
        "features  {}\nharts     {}\nVEIIDs    {} per hart\ncache     {} entries per hart\nVEIRQs    {} per VM\n",
        feature_names(info.features).join(" "),
        info.harts,
        info.veiids_per_hart,
        info.cache_entries_per_hart,
        info.max_veirqs,
    )
}

/// A number where it is one, else the word.
fn value_json(word: &str) -> Value {
    word.parse::<u64>().map_or_else(|_| word.into(), Value::from)
}

fn record_json(record: &Record) -> Map<String, Value> {
    record.iter().map(|(name, word)| (name.clone(), value_json(word))).collect()
}

/// Counters are one object, everything else a list of them.
fn records_json(state: State, records: &[Record]) -> Value {
    match state {
        State::Counters => records.iter().flat_map(record_json).collect::<Map<_, _>>().into(),
        _ => records.iter().map(record_json).collect(),
    }
}

/// A table with a heading where all lines have the same names, else the lines.
fn records_text(state: State, records: &[Record]) -> String {
    let mut rows: Vec<Vec<&str>> = Vec::new();
    if state == State::Counters {
        rows.extend(records.iter().flatten().map(|(name, word)| vec![name.as_str(), word]));
    } else if let Some(first) = records.first() {
        let names = |record: &Record| record.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if records.iter().all(|record| names(record) == names(first)) {
            rows.push(first.iter().map(|(name, _)| name.as_str()).collect());
            rows.extend(records.iter().map(|record| record.iter().map(|(_, word)| word.as_str()).collect()));
        } else {
            let lines = records.iter().map(|r| r.iter().map(|(n, w)| format!("{n}={w}")).collect::<Vec<_>>().join(" "));
            return lines.fold(String::new(), |text, line| text + &line + "\n");
        }
    } else {
        return "none\n".into();
    }
    table(&rows)
}

fn table(rows: &[Vec<&str>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|word| word.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(word, width)| format!("{word:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

type States = [(State, Result<Vec<Record>, debugfs::Error>)];

fn everything_json(info: &Info, states: &States) -> String {
    let mut all = Map::new();
    all.insert("info".into(), info_json(info));
    for (state, records) in states {
        // null, not an empty list: it is not known.
        let value = records.as_ref().map_or(Value::Null, |records| records_json(*state, records));
        all.insert(state.file().into(), value);
    }
    line(&all.into())
}

fn everything_text(info: &Info, states: &States) -> String {
    let mut text = String::from("hardware\n");
    indent(&mut text, &info_text(info));
    for (state, records) in states {
        match records {
            Ok(records) => {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}", state.file());
                indent(&mut text, &records_text(*state, records));
            }
            Err(error) => {
                let _ = writeln!(text, "{}\n  not known: {error}", state.file());
            }
        }
    }
    text
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    fn state(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn ask(dir: &tempfile::TempDir, words: &str) -> Result<String, Error> {
        let dir = dir.path().to_str().unwrap();
        let words = format!("haiovctl --debugfs {dir} {words}");
        render(&Options::try_parse_from(words.split_whitespace()).unwrap())
    }

    #[test]
    fn tables_have_a_heading() {
        let dir = state(&[("vms", "id=1 vmid=1 routes=12\nid=20 vmid=2 routes=0\n")]);
        assert_eq!(ask(&dir, "vm").unwrap(), "id  vmid  routes\n1   1     12\n20  2     0\n");
    }

    #[test]
    fn lines_that_differ_are_shown_as_they_are() {
        let dir = state(&[("routes", "veirq=1 cpu=2\nveirq=3 throttled=1\n")]);
        assert_eq!(ask(&dir, "route show").unwrap(), "veirq=1 cpu=2\nveirq=3 throttled=1\n");
    }

    #[test]
    fn json_has_numbers_and_words() {
        let dir = state(&[("routes", "veirq=1 state=on eventfd=0x10\n"), ("counters", "hits 5\nmisses 0\n")]);
        let routes: Value = serde_json::from_str(&ask(&dir, "route --json").unwrap()).unwrap();
        assert_eq!(routes, json!([{"veirq": 1, "state": "on", "eventfd": "0x10"}]));
        let counters: Value = serde_json::from_str(&ask(&dir, "counters --json").unwrap()).unwrap();
        assert_eq!(counters, json!({"hits": 5, "misses": 0}));
    }

    #[test]
    fn nothing_is_none_and_not_an_error() {
        let dir = state(&[("vms", ""), ("harts", "")]);
        assert_eq!(ask(&dir, "vm").unwrap(), "none\n");
        assert_eq!(ask(&dir, "hart --json").unwrap(), "[]\n");
    }

    #[test]
    fn absent_device_and_state_are_errors() {
        let dir = state(&[]);
        assert!(matches!(ask(&dir, "--device /nonexistent/haiov show"), Err(Error::Device(_))));
        assert!(matches!(ask(&dir, "route"), Err(Error::State(_))));
    }

    #[test]
    fn everything_says_what_is_not_known() {
        let dir = state(&[("counters", "hits 5\n"), ("vms", "id=1\n"), ("routes", "")]);
        let states = EVERYTHING.map(|s| (s, s.read(dir.path())));
        let text = everything_text(&Info::default(), &states);
        assert!(text.contains("hardware\n  hardware  none"), "{text}");
        assert!(text.contains("counters\n  hits  5\n"), "{text}");
        assert!(text.contains("harts\n  not known: cannot read "), "{text}");
        assert!(text.contains("routes\n  none\n"), "{text}");
        let all: Value = serde_json::from_str(&everything_json(&Info::default(), &states)).unwrap();
        assert_eq!(all["harts"], Value::Null);
        assert_eq!(all["routes"], json!([]));
        assert_eq!(all["mmio"], Value::Null);
        assert_eq!(all["info"]["features"], json!([]));
    }

    #[test]
    fn features_have_names() {
        let names = |bits| feature_names(Features::from_bits(bits));
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(1), ["vei"]);
        assert_eq!(names(3), ["vei", "uer"]);
        assert_eq!(names(7), ["vei", "uer", "hcs"]);
        assert_eq!(names(1 << 63 | 2), ["uer", "0x8000000000000000"]);
    }

    #[test]
    fn ranges_signals_and_contexts_are_shown() {
        let dir = state(&[
            ("mmio", "vmid=1 gpa=0x10000000 length=0x1000\n"),
            ("signals", "vmid=1 index=0 signaled=7\n"),
            ("contexts", "cpu=2 veiid=1 doorbells=5\n"),
        ]);
        assert_eq!(ask(&dir, "context").unwrap(), "cpu  veiid  doorbells\n2    1      5\n");
        assert_eq!(ask(&dir, "mmio").unwrap(), "vmid  gpa         length\n1     0x10000000  0x1000\n");
        let signals: Value = serde_json::from_str(&ask(&dir, "signal --json").unwrap()).unwrap();
        assert_eq!(signals, json!([{"vmid": 1, "index": 0, "signaled": 7}]));
    }
}
