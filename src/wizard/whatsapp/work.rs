//! The work of the WhatsApp wizard between its questions: installs, moves sessions aside, pairs.

use tokio::sync::mpsc;

use crate::bridge::install::{InstallError, Phase, Progress};
use crate::bridge::process::{Launch, Mode};
use crate::bridge::protocol::Start;
use crate::clock::Now;
use crate::durable::create_private_dir;
use crate::error::CliError;
use crate::pairing::Pairing;
use crate::preflight::{BridgeFact, Facts, NodeFact, SessionFact};
use crate::span::span;
use crate::wizard::runner::End;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::sheet::Form;
use crate::wizard::whatsapp::failures;
use crate::wizard::whatsapp::flow::SessionAnswer;
use crate::wizard::whatsapp::pair::{self, Attempt, Ended};
use crate::wizard::whatsapp::passkey::{self, Answers};
use crate::wizard::whatsapp::session;
use crate::wizard::whatsapp::setup::Setup;

impl Setup<'_> {
    pub(super) async fn install(&mut self, facts: &Facts) -> Result<(), End> {
        let NodeFact::Found { path: node, version } = &facts.node else {
            return Err(CliError::failed("Node.js was not found").code("whatsapp_node_missing").into());
        };
        self.ui.say(Line::Done(format!("Node {}.{}.{}", version.0, version.1, version.2)));
        let began = Now::read().mono;
        let (progress, mut reports) = mpsc::channel::<Progress>(16);
        let installing = self.hands.install(node, progress, self.cancel.child_token());
        let mut installing = std::pin::pin!(installing);
        let mut told = None;
        let mut packages = 0;
        let result = loop {
            let report = tokio::select! {
                biased;
                Some(report) = reports.recv() => report,
                result = &mut installing => break result,
            };
            packages = report.packages_total;
            self.report(&report, &mut told);
        };
        while let Ok(report) = reports.try_recv() {
            self.report(&report, &mut told);
        }
        self.ui.progress(None);
        match result {
            Ok(_) => {
                let took = span(Now::read().mono.saturating_duration_since(began));
                self.ui.say(Line::Done(format!("The bridge is installed: {packages} packages in {took}.")));
                Ok(())
            }
            Err(error) => {
                if let InstallError::Failed { tail, .. } = &error {
                    tail.iter().for_each(|line| self.ui.say(Line::Quote(line.clone())));
                }
                Err(failures::of_install(&error).map_or(End::Cancelled, End::Failed))
            }
        }
    }

    /// Shows how far the installation is; the same is not told twice.
    fn report(&mut self, report: &Progress, told: &mut Option<WizardEvent>) {
        self.ui.progress(Some(report));
        let event = install_event(report);
        if told.as_ref() != Some(&event) {
            self.ui.event(&event);
            *told = Some(event);
        }
    }

    pub(super) fn move_aside(&mut self, word: &str, facts: &Facts) -> Result<(), End> {
        let was_paired = matches!(
            facts.session,
            SessionFact::Judged(Pairing::Paired { .. }) | SessionFact::Restorable { .. }
        );
        let aside = session::move_aside(&self.home.whatsapp(), word, Now::read().wall)?;
        // From here on a pairing that is found is the new one.
        self.answers.session = None;
        if let Some(aside) = aside {
            self.ui.say(Line::Done(format!("The old session is kept in {}.", aside.to.display())));
            if was_paired {
                self.replaced = Some(aside);
            }
        }
        Ok(())
    }

    pub(super) async fn pair(&mut self, facts: &Facts) -> Result<(), End> {
        let paths = self.home.whatsapp();
        let mut form = Form::from(self.options.qr.clone());
        let mut number = self.options.pairing_code.clone();
        let mut answers = self.options.passkey_answer.clone().map(Answers::new);
        loop {
            // A code that was asked for and not used leaves credentials with which no new one can be had.
            if matches!(session::read_verdict(&paths), Ok(Pairing::HalfPaired)) {
                session::move_aside(&paths, "abandoned", Now::read().wall)?;
            }
            let launch = self.launch(facts, number.as_deref())?;
            let bridge = self.hands.start(&launch).map_err(|error| {
                CliError::failed("the bridge cannot be started")
                    .code("whatsapp_bridge_exited")
                    .hint("Run `hermes doctor` to check Node.js and the bridge.")
                    .because(error)
            })?;
            let ended = Attempt {
                ui: &mut *self.ui,
                cancel: self.cancel,
                paths: &paths,
                form: &mut form,
                number: number.as_deref(),
                timeout: self.options.timeout,
                answers: answers.as_mut(),
                shown: None,
                progress: pair::Pairing::default(),
            }
            .follow(bridge)
            .await
            .inspect_err(|failed| passkey::remember(failed, &paths))?;
            match ended {
                Ended::Complete => {
                    passkey::forget(&paths);
                    self.paired_now = true;
                    self.answers.session = Some(SessionAnswer::Keep);
                    return Ok(());
                }
                Ended::ByCode(chosen) => number = Some(chosen),
                Ended::Expired => self.wait_for_another_code().await?,
            }
        }
    }

    pub(super) async fn wait_for_another_code(&mut self) -> Result<(), End> {
        if !self.ui.can_ask() {
            return Err(End::Expired);
        }
        self.ui.say(Line::Gap);
        self.ui.say(Line::Warn("No code was scanned in time.".to_owned()));
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(End::Cancelled),
            pressed = self.ui.pause("Press Enter for a new code.") => Ok(pressed?),
        }
    }

    pub(super) fn launch(&self, facts: &Facts, number: Option<&str>) -> Result<Launch, CliError> {
        let (NodeFact::Found { path: node, .. }, BridgeFact::Installed { dir }) =
            (&facts.node, &facts.bridge)
        else {
            return Err(CliError::failed("Node.js or the bridge was removed during setup"));
        };
        let paths = self.home.whatsapp();
        for dir in [self.home.root(), paths.session_dir(), &paths.spool_dir(), &paths.media_dir()] {
            create_private_dir(dir).map_err(|error| {
                CliError::failed(format!("the folder {} cannot be created", dir.display()))
                    .code("whatsapp_storage")
                    .hint("Check the owner of the folder above it and the free space.")
                    .because(error)
            })?;
        }
        Ok(Launch {
            node: node.clone(),
            bridge_dir: dir.clone(),
            session_lock: paths.session_lock(),
            mode: Mode::Pair,
            start: Start {
                session_dir: paths.session_dir().to_path_buf(),
                spool_dir: paths.spool_dir(),
                media_dir: paths.media_dir(),
                web_socket_url: self.config.whatsapp.web_socket_url.clone(),
                version: self.config.whatsapp.version,
                pairing_code_for: number.map(str::to_owned),
                limits: self.config.whatsapp.bridge_limits.clone(),
            },
        })
    }
}

fn install_event(progress: &Progress) -> WizardEvent {
    let share = (progress.packages * 90).checked_div(progress.packages_total).unwrap_or(0).min(90);
    let (phase, percent) = match progress.phase {
        Phase::Wait => ("wait", 0),
        Phase::Unpack => ("unpack", 1),
        Phase::Download => ("download", 2 + share),
        Phase::Verify => ("verify", 95),
        Phase::Finish => ("finish", 100),
    };
    WizardEvent::Install { phase, percent }
}
