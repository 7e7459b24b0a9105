//! Who answers.
//!
//! - [`api`]: the contract, one turn in and one text out; [`build`]: the agent that the settings name,
//!   [`following`]: also after they have changed; [`lateness`]: what is old news by then; [`draft`]: an answer that is not whole yet.
//! - [`echo`]: repeats what it is told.
//! - [`openai`]: any OpenAI-compatible service; [`request`]: what it is asked, [`sse`]: the stream that it answers with,
//!   [`reading`]: a stream or a body, [`answer`]: the text in it, [`thinking`] and [`channels`]: what is left out of that, [`refusal`]: what a
//!   refusal means, [`failure`]: the error that it becomes, [`words`]: what the owner sees of the service's own words,
//!   [`breaker`]: when nothing is asked because the service was away; [`verdict`]: what its last answers say
//!   about it; [`window`]: how much the model can be asked.
//! - [`program`]: a program of this machine; [`request`] also says what that is told.

pub mod answer;
pub mod api;
pub mod breaker;
pub mod build;
mod channels;
pub mod draft;
pub mod echo;
mod failure;
pub mod following;
pub mod lateness;
pub mod openai;
mod pictures;
pub mod program;
pub mod reading;
pub mod refusal;
pub mod request;
pub mod sse;
#[cfg(test)]
pub(crate) mod testing;
pub mod thinking;
pub mod verdict;
mod window;
mod words;
