//! What leaves for other programs, held against those programs where they are installed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

mod books;
#[path = "../support/mod.rs"]
mod support;
#[path = "../store_conformance/town.rs"]
#[expect(dead_code, reason = "the exports need a part of it")]
mod town;
mod usage;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use madang_anchor::billing::export::Form;

use support::programs::Program;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("an_export_is_pinned_line_by_line", || {
            books::an_export_is_pinned_line_by_line();
            Ok(())
        }),
        Trial::test("usage_is_told_once_and_sums_to_the_bill", || {
            usage::usage_is_told_once_and_sums_to_the_bill();
            Ok(())
        }),
    ];
    let mut left_out = Vec::new();
    for (name, form) in [("hledger", Form::Hledger), ("bean-check", Form::Beancount)] {
        let program = Program::find(name);
        if let Err(why) = &program {
            left_out.push(why.clone());
        }
        let is_missing = program.is_err();
        let title = format!("{name}_accepts_the_books_and_refuses_a_wrong_balance");
        let trial = Trial::test(title, move || {
            books::is_accepted_and_a_wrong_balance_is_refused(form, &program?);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(is_missing));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        left_out
            .iter()
            .for_each(|why| eprintln!("left out: a check of exports, since {why}"));
    }
    conclusion.exit_code()
}
