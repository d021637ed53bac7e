//! What cutting a stream into messages costs, for each read of 64 KiB.

#[path = "support/samples.rs"]
mod samples;
#[path = "support/stream.rs"]
mod stream;

use divan::{Bencher, black_box, counter::BytesCount};
use samples::{Sample, ordinary};
use stream::{Framing, for_each_frame, framer, one_read};

fn main() {
    divan::main();
}

fn frame(bencher: Bencher<'_, '_>, sample: &Sample, framing: Framing) {
    let (read, _) = one_read(&sample.octets, framing);
    let mut framer = framer();
    bencher
        .counter(BytesCount::of_slice(&read[..]))
        .bench_local(|| {
            let mut octets = 0;
            for_each_frame(&mut framer, black_box(&read), |frame| octets += frame.len());
            octets
        });
}

#[divan::bench(args = ordinary())]
fn lines(bencher: Bencher<'_, '_>, sample: &Sample) {
    frame(bencher, sample, Framing::Lines);
}

#[divan::bench(args = ordinary())]
fn counted(bencher: Bencher<'_, '_>, sample: &Sample) {
    frame(bencher, sample, Framing::Counted);
}
