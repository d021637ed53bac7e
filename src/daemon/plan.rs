//! What shall run: the command line and the configuration, put together as a value.
//!
//! Nothing is opened here, so that a reload knows everything that could be wrong before it changes
//! anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::budget::Budget;
use crate::cli::{Arguments, LineStyle, OutputFormat};
use crate::config::{
    self, Config, Destination, LayoutDecl, ListenAddress, OutputSettings, RuleDecl, SpoolDecl,
    Sync, Transport,
};
use crate::format::{Escape, Escaping, Layout, Template};
use crate::output::forward::Limits;
use crate::output::repeat::{Folding, Style};
use crate::route::Policy;

/// The port that syslog has over UDP (RFC 5426 3.3).
const SYSLOG_PORT: u16 = 514;

/// What shall run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The sockets to listen on, each once.
    pub listens: Vec<ListenAddress>,
    /// Who may write to a unix socket, where that is not everybody.
    pub modes: BTreeMap<PathBuf, u32>,
    /// The outputs, each destination once.
    pub outputs: Vec<OutputPlan>,
    /// The lanes: an output, by its place in `outputs`, and a form.
    pub lanes: Vec<(usize, Template)>,
    /// The lane of each rule of the configuration, by its place; `None` for a rule that is left out.
    pub lane_of: Vec<Option<usize>>,
    /// Whether messages from the network are kept out of forwards.
    pub forwards_local_only: bool,
    /// Whether forwards also send to a host what came from it.
    pub forwards_back: bool,
    /// What queues and unfinished frames may take together, in octets.
    pub memory: usize,
    /// The longest message that is kept whole, in octets.
    pub max_message: usize,
    /// Where messages wait for outputs that are behind.
    pub spool: Option<SpoolDecl>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPlan {
    /// Where it writes.
    pub destination: Destination,
    /// How it behaves.
    pub settings: OutputSettings,
    /// Whether it folds repeated messages.
    pub folds: bool,
    /// How long a datagram it may send, if it is a forward.
    pub limits: Option<Limits>,
}

impl OutputPlan {
    /// How the worker folds repeated messages.
    pub fn folding(&self) -> Folding {
        if self.folds {
            Folding::On(Style::of(self.settings.layout))
        } else {
            Folding::Off
        }
    }
}

/// What keeps the network away (`-s`, `-ss`, `secure_mode`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Secure {
    /// Listens where it is asked to.
    Open,
    /// Listens to nobody on the network; forwards.
    Deaf,
    /// Opens no internet socket at all.
    Closed,
}

impl Plan {
    /// Puts `arguments` and `config` together.
    ///
    /// # Errors
    /// The sentence about an argument that cannot be understood.
    pub fn new(arguments: &Arguments, config: &Config) -> Result<Self, String> {
        let mut plan = Self {
            forwards_local_only: arguments.forward_local,
            forwards_back: arguments.forward_back,
            memory: config.settings.memory.unwrap_or(Budget::DEFAULT),
            max_message: config
                .settings
                .max_message_size
                .unwrap_or(Policy::MAX_MESSAGE),
            spool: config.settings.spool.clone(),
            ..Self::default()
        };
        let secure = secure(arguments, config);
        plan.plan_inputs(arguments, config, secure)?;
        plan.plan_outputs(arguments, config, secure)?;
        let memory = |output: &OutputPlan| matches!(output.destination, Destination::Memory(_));
        if arguments.control.is_none() && plan.outputs.iter().any(memory) {
            plan.warnings.push(UNREADABLE.to_owned());
        }
        Ok(plan)
    }

    fn plan_inputs(
        &mut self,
        arguments: &Arguments,
        config: &Config,
        secure: Secure,
    ) -> Result<(), String> {
        let sockets = arguments.local_sockets();
        let mut wanted: Vec<ListenAddress> = sockets
            .map(|socket| ListenAddress::UnixDatagram(socket.path.clone()))
            .collect();
        let modes = arguments.local_sockets();
        self.modes = modes
            .filter_map(|socket| Some((socket.path.clone(), socket.mode?)))
            .collect();
        for text in &arguments.bind {
            wanted.extend(config::bind_addresses(text).map_err(|why| format!("-b {text}: {why}"))?);
        }
        for text in &arguments.listen {
            let addresses = config::listen_addresses(text);
            wanted.extend(addresses.map_err(|why| format!("--listen {text}: {why}"))?);
        }
        wanted.extend(config.listens.iter().map(|listen| listen.address.clone()));
        let udp_is_asked = wanted
            .iter()
            .any(|address| matches!(address, ListenAddress::Udp(_)));
        let is_open = match config.settings.secure_mode {
            Some(mode) => mode == 0,
            None => arguments.receives_unasked() && secure == Secure::Open,
        };
        if is_open && !udp_is_asked {
            let everywhere = [
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            ];
            wanted.extend(
                everywhere.map(|ip| ListenAddress::Udp(SocketAddr::new(ip, SYSLOG_PORT).into())),
            );
        }
        for address in wanted {
            if self.listens.contains(&address) && !is_any_port(&address) {
                continue;
            }
            let Some(ip) = network_part(&address) else {
                self.listens.push(address);
                continue;
            };
            let why = if secure > Secure::Open {
                "-s or secure_mode keeps the network out"
            } else if !arguments.families().include(ip) {
                if ip.is_unspecified() {
                    // One word asked for the wildcards of both families.
                    continue;
                }
                "-4 or -6 excludes it"
            } else {
                self.listens.push(address);
                continue;
            };
            self.warnings
                .push(format!("not listening on {address}: {why}"));
        }
        Ok(())
    }

    fn plan_outputs(
        &mut self,
        arguments: &Arguments,
        config: &Config,
        secure: Secure,
    ) -> Result<(), String> {
        let from_arguments = match &arguments.rotation {
            Some(text) => {
                Some(config::parse_rotation(text).map_err(|why| format!("-r {text}: {why}"))?)
            }
            None => None,
        };
        let rotation = from_arguments.or(config.settings.rotation);
        let octets = arguments.max_forward.or(config.settings.udp_size);
        let limits = Limits {
            all_addresses: arguments.all_addresses,
            ..octets.map_or_else(Limits::default, Limits::new)
        };
        let mut outputs = BTreeMap::new();
        for rule in &config.rules {
            let forbidden = if secure == Secure::Closed {
                Some("-ss or secure_mode 2 allows no internet socket")
            } else {
                arguments.no_forward.then_some("--no-forward")
            };
            if let Some(why) = forbidden
                && matches!(rule.destination, Destination::Forward(_))
            {
                self.warnings
                    .push(format!("not forwarding to {}: {why}", rule.destination));
                self.lane_of.push(None);
                continue;
            }
            let output = *outputs.entry(&rule.destination).or_insert_with(|| {
                let mut settings = rule.settings.clone();
                if matches!(rule.destination, Destination::File(_)) {
                    settings.rotation = settings.rotation.or(rotation);
                    settings.compression = settings.compression.or(config.settings.compression);
                    settings.notify = config.settings.notify.clone().into();
                    settings.keep_free = config.settings.keep_free;
                    if arguments.sync {
                        settings.sync = Sync::Durable;
                    }
                }
                let destination = rule.destination.clone();
                let template = template(rule, config.settings.escape, arguments);
                settings.layout = Some(template.layout);
                let folds = folds(&destination, arguments.folding);
                let is_forward = matches!(destination, Destination::Forward(_));
                let limits = is_forward.then_some(limits);
                self.outputs.push(OutputPlan {
                    destination,
                    settings,
                    folds,
                    limits,
                });
                self.outputs.len() - 1
            });
            let lane = (output, template(rule, config.settings.escape, arguments));
            let known = self.lanes.iter().position(|other| *other == lane);
            self.lane_of.push(Some(known.unwrap_or_else(|| {
                self.lanes.push(lane);
                self.lanes.len() - 1
            })));
        }
        Ok(())
    }
}

const UNREADABLE: &str = "nobody can read the memory buffers: name a control socket with --control";

fn secure(arguments: &Arguments, config: &Config) -> Secure {
    let asked = arguments.secure.max(u8::from(arguments.no_udp));
    match asked.max(config.settings.secure_mode.unwrap_or(0)) {
        0 => Secure::Open,
        1 => Secure::Deaf,
        _ => Secure::Closed,
    }
}

/// The address of a listener on the network.
fn network_part(address: &ListenAddress) -> Option<IpAddr> {
    match address {
        ListenAddress::Udp(at) | ListenAddress::Tcp(at) => Some(at.address.ip()),
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => None,
    }
}

/// Port 0 is another port each time it is asked for.
fn is_any_port(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Udp(at) | ListenAddress::Tcp(at) => at.address.port() == 0,
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => false,
    }
}

/// `-c` stops folding for FIFOs, `-cc` for everything; forwards and users never see it.
fn folds(destination: &Destination, off: u8) -> bool {
    match destination {
        Destination::File(_) | Destination::Terminal(_) | Destination::Memory(_) => off < 2,
        Destination::Fifo(_) | Destination::Command(_) => off < 1,
        Destination::Users(_) | Destination::Everyone | Destination::Forward(_) => false,
    }
}

/// The form of lines whose rule names none.
fn line_layout(arguments: &Arguments) -> Layout {
    match (arguments.output_format, arguments.line_style) {
        (Some(OutputFormat::Rfc5424), _) => Layout::Rfc5424LinePri,
        (_, Some(LineStyle::Busybox)) => Layout::Busybox,
        (_, Some(LineStyle::Short)) => Layout::Short,
        (Some(OutputFormat::Rfc3164) | None, None) if arguments.utc_time => Layout::Utc,
        (Some(OutputFormat::Rfc3164) | None, None) => match arguments.verbose {
            0 => Layout::Traditional,
            1 => Layout::Numeric,
            _ => Layout::Named,
        },
    }
}

fn template(rule: &RuleDecl, escape: Escape, arguments: &Arguments) -> Template {
    let text = Escaping::Text(rule.format.escape.unwrap_or(escape));
    let layout = rule.format.layout;
    match &rule.destination {
        Destination::Forward(remote) => Template {
            layout: match (layout, arguments.output_format) {
                (Some(LayoutDecl::Bsd), _) => Layout::ForwardBsd,
                (Some(LayoutDecl::Rfc5424 | LayoutDecl::Rfc5424Pri), _)
                | (None, Some(OutputFormat::Rfc5424)) => Layout::ForwardRfc5424,
                (Some(LayoutDecl::Rfc3164), _) | (None, Some(OutputFormat::Rfc3164) | None) => {
                    Layout::ForwardRfc3164
                }
            },
            escaping: match remote.transport {
                Transport::TcpLines => Escaping::Line,
                Transport::Udp | Transport::TcpOctetCounting => Escaping::None,
            },
        },
        Destination::File(_)
        | Destination::Fifo(_)
        | Destination::Command(_)
        | Destination::Terminal(_)
        | Destination::Memory(_) => Template {
            layout: match layout {
                Some(LayoutDecl::Bsd | LayoutDecl::Rfc3164) => Layout::Traditional,
                Some(LayoutDecl::Rfc5424) => Layout::Rfc5424Line,
                Some(LayoutDecl::Rfc5424Pri) => Layout::Rfc5424LinePri,
                None => line_layout(arguments),
            },
            escaping: text,
        },
        Destination::Users(_) | Destination::Everyone => Template {
            layout: Layout::Traditional,
            escaping: text,
        },
    }
}
