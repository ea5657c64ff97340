//! Marque's program, which runs what it is asked to and measures it itself.

use bench_harness::measure::Operation;
use bench_harness::plan::Failure;
use std::cell::RefCell;
use std::env::current_exe;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

/// Its name: it stands beside this program.
const PROGRAM: &str = "marque-bench";
/// What it measures.
pub const NAME: &str = "marque-core";

/// The running program.
#[derive(Clone)]
pub struct Marque(Rc<RefCell<Conversation>>);

struct Conversation {
    program: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Marque {
    /// Starts it.
    ///
    /// # Errors
    /// When it was not built.
    pub fn start() -> Result<Self, Failure> {
        let place = current_exe()?.with_file_name(PROGRAM);
        let mut program = Command::new(place).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (questions, answers) = (program.stdin.take(), program.stdout.take());
        let answers = BufReader::new(answers.ok_or("nothing to read from")?);
        Ok(Self(Rc::new(RefCell::new(Conversation { program, questions, answers }))))
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When it gives no answer; it has told why.
    pub fn ask(&self, what: &str) -> Result<String, Failure> {
        let mut conversation = self.0.borrow_mut();
        let questions = conversation.questions.as_mut().ok_or("nothing to write to")?;
        writeln!(questions, "{what}")?;
        let mut answer = String::new();
        conversation.answers.read_line(&mut answer)?;
        match answer.strip_suffix('\n') {
            Some(answer) => Ok(answer.to_owned()),
            None => Err(format!("{PROGRAM} gave no answer to {what:?}").into()),
        }
    }

    /// The operation of a figure.
    pub fn operation(&self, figure: &str) -> Operation {
        let (marque, figure) = (self.clone(), figure.to_owned());
        Operation::elsewhere(NAME, move |count| Ok(marque.ask(&format!("time {figure} {count}"))?.parse()?))
    }
}

impl Drop for Conversation {
    /// Without questions it ends by itself.
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.program.wait();
    }
}
