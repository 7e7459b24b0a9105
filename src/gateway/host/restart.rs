//! The way in which the gateway is started again for a restart: by the service manager that gets its state (`NOTIFY_SOCKET`),
//! after exit code 75; else by the process itself, which becomes the program on disk. So a gateway in a terminal, in a
//! container or under any other supervisor restarts as well, keeps its pid, and its supervisor sees no end.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::error::{CliError, ExitCode};
use crate::process::child;
use crate::world::World;

/// The way in which this process is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// By its service manager, after exit code 75.
    ByManager,
    /// By itself, with this program.
    ByItself(PathBuf),
}

impl Restart {
    /// Returns the way that the environment of this process allows.
    pub fn of(world: &World) -> Self {
        match world.var("NOTIFY_SOCKET") {
            Some(_) => Self::ByManager,
            None => Self::ByItself(world.exe.clone()),
        }
    }

    /// Returns the reason why this process could not be started again; a part of a sentence.
    pub fn obstacle(&self) -> Option<String> {
        let Self::ByItself(program) = self else { return None };
        let error = rustix::fs::access(program, rustix::fs::Access::EXEC_OK).err()?;
        Some(format!("the program {} cannot be started again: {error}", program.display()))
    }

    /// Acts after an end for a restart: becomes the program on disk with these arguments, or returns the exit code of this
    /// process.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn begin(&self, args: &[OsString]) -> Result<ExitCode, CliError> {
        match self {
            Self::ByManager => Ok(ExitCode::Restart),
            Self::ByItself(program) => {
                tracing::info!(code = "restarting", "The gateway is restarting");
                let error = child::gateway(program).args(args).exec();
                Err(CliError::failed("the gateway stopped and could not be started again")
                    .code("not_restarted")
                    .hint("Start it with `hermes gateway run`.")
                    .because(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_is_told_of_the_state_starts_it_again_and_else_it_does_so_itself() {
        assert_eq!(Restart::of(&World::of_env([("NOTIFY_SOCKET", "/run/notify")])), Restart::ByManager);
        let alone = Restart::of(&World::of_env([("INVOCATION_ID", "of some other service")]));
        assert_eq!(alone, Restart::ByItself("hermes".into()));
    }

    #[test]
    fn a_program_that_is_gone_or_not_executable_is_an_obstacle_before_anything_ends() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hermes");
        let restart = Restart::ByItself(program.clone());
        assert!(restart.obstacle().unwrap().contains("No such file"));
        crate::durable::write_atomic(&program, b"").unwrap();
        assert!(restart.obstacle().unwrap().contains("ermission denied"));
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(restart.obstacle(), None);
        assert_eq!(Restart::ByManager.obstacle(), None);
    }
}
