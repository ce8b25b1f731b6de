//! Tables: everything that is refused, by which number, and that nothing of it is kept. No swarm.

mod cached;
mod fixture;
mod greeted;
mod judged;
mod scheduled;
