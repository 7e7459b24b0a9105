//! Answers as models write them, in many scripts: `answers.md`.

use super::properties::{PLATFORMS, examine};
use crate::platforms::Platform;

/// Stars that are no emphasis: in code, a file glob and a power.
const STARS: [(&str, usize); 4] = [("English", 1), ("German", 2), ("Chinese", 2), ("Mathematics", 1)];

/// Each answer with its name.
fn answers() -> Vec<(&'static str, &'static str)> {
    include_str!("answers.md").split("\n=== ").skip(1).filter_map(|answer| answer.split_once('\n')).collect()
}

#[test]
fn answers_in_many_scripts_arrive_whole() {
    let answers = answers();
    assert!(answers.len() >= 12, "{}", answers.len());
    for (name, answer) in answers {
        for platform in PLATFORMS {
            let usual = platform.spec().text_len_max;
            for len_max in [usual, 300, 100, 40] {
                let seen = examine(platform, answer, len_max).unwrap_or_else(|why| panic!("{name}: {why}"));
                let count = |text: &str, letter: char| text.chars().filter(|sign| *sign == letter).count();
                let answer = answer.replace("<br>", "");
                for letter in answer.chars().filter(|sign| sign.is_alphanumeric()) {
                    let fences = answer.lines().filter(|line| line.trim_start().starts_with("```"));
                    let languages = match platform {
                        Platform::Whatsapp => fences.map(|line| count(line, letter)).sum(),
                        Platform::Telegram | Platform::Scripted(_) => 0,
                    };
                    assert!(
                        count(&seen, letter) + languages >= count(&answer, letter),
                        "{name}, {platform}, {len_max}: {letter} is lost in {seen}"
                    );
                }
                let stars = STARS.iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count);
                assert_eq!(seen.matches("**").count(), stars, "{name}, {platform}: {seen}");
            }
        }
    }
}
