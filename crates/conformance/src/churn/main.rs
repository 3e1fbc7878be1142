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
        ["replay", ref records @ ..] => {
            // Every record is played, whatever came of the one before.
            let wrong: Vec<_> = records.iter().filter_map(|record| replay(record).err()).collect();
            if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\nchurn: ")) }
        }
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
    let (seed, kernel) = (script.head.seed, &script.head.kernel);
    match churn::replay(&script, &churn::services(&script)) {
        Ok(wrong) if wrong.is_empty() => {
            println!("seed {seed}: as Linux {kernel}, {} steps", script.steps.len());
            Ok(())
        }
        Ok(wrong) => {
            let (many, each) = (wrong.len(), alone(&script));
            Err(format!("seed {seed}: {many} steps differ\n{}\n{each}", wrong.join("\n")))
        }
        Err(error) => Err(format!("seed {seed}: {}\n{}", error.0, alone(&script))),
    }
}

/// Each service by itself, with what it needs: which of them goes wrong?
fn alone(script: &Script) -> String {
    let line = |service: &String| {
        let needs: Vec<_> = churn::features(script, service).into_iter().collect();
        let outcome = match churn::replay(script, &[service.clone()].into()) {
            Ok(wrong) if wrong.is_empty() => "right".to_owned(),
            Ok(wrong) => format!("{} steps differ, first {}", wrong.len(), wrong[0]),
            Err(error) => error.0,
        };
        format!("alone {service} ({}): {outcome}", needs.join(", "))
    };
    churn::services(script).iter().map(line).collect::<Vec<_>>().join("\n")
}
