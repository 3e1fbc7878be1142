//! `xlvs`: the one program of xlvs.
//!
//! Called `ipvsadm`, `ipvsadm-save` or `ipvsadm-restore`, or with one of these as its first
//! argument, it is that tool; else it is made of verbs, a module each.
#![forbid(unsafe_code)]

mod demo;
mod face;
mod output;
mod realserver;
mod testclient;
mod testserver;
mod verbs;

use std::{env, process::ExitCode};

use clap::Parser;
use xlvs_api::{Client, Director, Face, Target};

fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    if let Some(call) = face::called(&args) {
        return call.run(&mut || {
            let client = Client::connect(&Target::new(None, None))?;
            Ok(Box::new(client.speaking_for(Face::Ipvsadm)) as Box<dyn Director>)
        });
    }
    let xlvs = verbs::Xlvs::parse();
    match xlvs.run() {
        Ok(code) => code,
        Err(error) => output::failed(&error),
    }
}
