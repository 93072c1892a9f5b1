//! What scripts would make of nothing, and by which of their words.

use std::collections::HashMap;
use std::sync::Arc;

use sealway_core::sad::{Sa, SaId};
use sealway_core::selector::Selector;
use sealway_core::spd::{Direction, Policy};
use sealway_core::{Command, Control, DefaultAction, Tables};
use sealway_setkey::Span;

use super::carrier::Carrier;
use super::script::{Language, Mistakes, Source, translate};

/// Policies and SAs as scripts would make them, each with its place.
#[derive(Debug)]
pub struct Study {
    /// What there would be.
    pub tables: Arc<Tables>,
    /// What their writers may want to know.
    pub warnings: Mistakes,
    sas: HashMap<SaId, Place>,
    policies: HashMap<(Direction, Selector, u32), Place>,
}

/// A source, by its number, and the words in it.
pub type Place = (usize, Span);

/// Studies the texts, as one transaction on empty databases.
///
/// # Errors
/// Every mistake that was found.
pub fn study(sources: &[Source]) -> Result<Study, Mistakes> {
    let mut control = Control::new(DefaultAction::default(), 1500);
    let carrier = Carrier::any();
    let translation = translate(&control.tables(), sources, Language::Setkey, &carrier)?;
    let (mut sas, mut policies) = (HashMap::new(), HashMap::new());
    for (command, place) in translation
        .commands
        .iter()
        .zip(translation.origins.places())
    {
        match command {
            Command::AddSa(config) => {
                sas.insert(config.id, place);
            }
            Command::AddPolicy(config) => {
                let same = (config.direction, config.selector.clone(), config.priority);
                policies.insert(same, place);
            }
            _ => {}
        }
    }
    let origins = translation.origins;
    control
        .apply(translation.commands)
        .map_err(|refused| origins.blame(&refused))?;
    Ok(Study {
        tables: control.tables(),
        warnings: translation.warnings.into(),
        sas,
        policies,
    })
}

impl Study {
    /// Where the SA is asked for.
    pub fn place_of_sa(&self, sa: &Sa) -> Place {
        self.sas.get(&sa.config.id).copied().unwrap_or_default()
    }

    /// Where the policy is asked for.
    pub fn place_of_policy(&self, policy: &Policy) -> Place {
        let config = &policy.config;
        let same = (config.direction, config.selector.clone(), config.priority);
        self.policies.get(&same).copied().unwrap_or_default()
    }
}
