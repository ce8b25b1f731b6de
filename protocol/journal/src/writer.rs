//! The thread that makes commits durable: one write and one fdatasync for all that waited.

use crate::core::Core;
use crate::index::Applied;
use crate::log::Log;
use crate::rows::Schema;

/// Runs until the store is closed and everything queued is written.
pub(crate) fn run<S: Schema>(core: &Core<S>, log: &mut Log) {
    let _stop = Stop(core);
    while let Some(payloads) = core.pipe.take_off() {
        match log.append(payloads.iter().map(Vec::as_slice)) {
            Ok(()) => core.publish(Applied {
                head: log.head(),
                end: log.end(),
            }),
            Err(error) => core.roll_back(error),
        }
    }
}

/// Nobody waits for a writer that is gone, not even after a panic.
struct Stop<'a, S: Schema>(&'a Core<S>);

impl<S: Schema> Drop for Stop<'_, S> {
    fn drop(&mut self) {
        self.0.pipe.stop();
        if std::thread::panicking() {
            self.0
                .roll_back(crate::log::AppendError::stopped(&self.0.options.dir));
        }
    }
}
