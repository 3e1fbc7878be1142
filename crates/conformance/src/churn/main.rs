//! `churn script SEED OPERATIONS` prints a seed's script, `churn player` what plays it in a guest,
//! `churn replay RECORD...` plays records in memory and says what differs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::{env, fs, process::ExitCode};

use xlvs_conformance::churn::{self, Script};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["script", seed, operations] => script(seed, operations),
        ["player"] => {
            print!("{}", churn::GUEST);
            Ok(())
        }
        ["replay", ref records @ ..] => records.iter().try_for_each(|record| replay(record)),
        _ => Err("churn script SEED OPERATIONS | player | replay RECORD...".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("churn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn script(seed: &str, operations: &str) -> Result<(), String> {
    let wrong = |text| format!("`{text}` is not a number");
    let number = seed.parse().map_err(|_| wrong(seed))?;
    let length = operations.parse().map_err(|_| wrong(operations))?;
    print!("{}", churn::script(number, length));
    Ok(())
}

fn replay(record: &str) -> Result<(), String> {
    let text = fs::read_to_string(record).map_err(|error| format!("{record}: {error}"))?;
    let script = Script::read(&text).map_err(|error| format!("{record}: {error}"))?;
    let head = &script.head;
    let wrong = churn::replay(&script, &churn::services(&script))
        .map_err(|error| format!("seed {}: {}", head.seed, error.0))?;
    if wrong.is_empty() {
        println!("seed {}: as Linux {}, {} steps", head.seed, head.kernel, script.steps.len());
        return Ok(());
    }
    Err(format!("seed {}: {} steps differ\n{}", head.seed, wrong.len(), wrong.join("\n")))
}
