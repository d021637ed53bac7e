//! Why a start failed.

use std::io;

use super::pid_file::PidFileError;

/// Why a start failed, as the operator reads it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An argument cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// The configuration cannot be used at all.
    #[error("{0}")]
    Config(String),
    /// A socket cannot be had.
    #[error("{0}")]
    Input(String),
    /// Another instance runs, or its file cannot be written.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The process cannot go to the background.
    #[error("cannot go to the background: {0}")]
    Background(io::Error),
    /// There are no threads or descriptors left.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// `--ask` was refused, or nobody answered.
    #[error("{sentence}")]
    Asked {
        /// The exit status.
        status: u8,
        /// What the operator reads.
        sentence: String,
    },
    /// Another program did not take our place.
    #[error("{0}")]
    Upgrade(String),
    /// The directory of `--try` cannot be made.
    #[error("cannot try it in {directory}: {error}")]
    Try {
        /// The directory.
        directory: String,
        /// What the kernel said.
        error: io::Error,
    },
}

impl StartError {
    /// The exit status, from sysexits(3).
    pub fn sysexit(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Upgrade(_) => 69,
            Self::Input(_) | Self::Background(_) | Self::Runtime(_) => 71,
            Self::Try { .. }
            | Self::PidFile(PidFileError::NotAFile { .. } | PidFileError::Io { .. }) => 73,
            Self::PidFile(PidFileError::Held { .. }) => 75,
            Self::Config(_) => 78,
            Self::Asked { status, .. } => *status,
        }
    }
}
