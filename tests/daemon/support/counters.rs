//! The counters as the daemon tells them on SIGUSR1.

use serde_json::Value;

/// What PIDFILE.stats held.
#[derive(Debug)]
pub(crate) struct Counters(Value);

impl Counters {
    pub(crate) fn parse(json: &str) -> Self {
        Self(serde_json::from_str(json).expect("the counters are JSON"))
    }

    /// The input whose name contains `name`.
    #[track_caller]
    pub(crate) fn input(&self, name: &str) -> &Value {
        self.named("inputs", name)
    }

    /// The output whose name contains `name`.
    #[track_caller]
    pub(crate) fn output(&self, name: &str) -> &Value {
        self.named("outputs", name)
    }

    #[track_caller]
    fn named(&self, kind: &str, name: &str) -> &Value {
        let mut all = self.list(kind).iter();
        let found = all.find(|one| one["name"].as_str().is_some_and(|full| full.contains(name)));
        assert!(found.is_some(), "no {name} among the {kind} of {}", self.0);
        found.unwrap_or(&Value::Null)
    }

    fn list(&self, kind: &str) -> &[Value] {
        self.0[kind].as_array().map_or(&[], Vec::as_slice)
    }

    /// Reliability S1: `received = routed + unmatched + rejected` and `enqueued = written + dropped +
    /// queued`, for each input and each output.
    pub(crate) fn balance(&self) -> bool {
        let inputs = self.list("inputs").iter().all(|input| {
            number(&input["received"])
                == number(&input["routed"]) + number(&input["unmatched"]) + sum(&input["rejected"])
        });
        let outputs = self.list("outputs").iter().all(|output| {
            number(&output["enqueued"])
                == number(&output["written"]) + sum(&output["dropped"]) + number(&output["queued"])
        });
        let present = !self.list("inputs").is_empty() && !self.list("outputs").is_empty();
        present && inputs && outputs
    }

    /// Whether nothing waits in a queue.
    pub(crate) fn nothing_queued(&self) -> bool {
        self.list("outputs")
            .iter()
            .all(|output| number(&output["queued"]) == 0)
    }
}

/// The sum of an object's numbers, as of `dropped`.
pub(crate) fn sum(object: &Value) -> u64 {
    object
        .as_object()
        .expect("an object of numbers")
        .values()
        .map(number)
        .sum()
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().expect("a counter is a number")
}
