//! Which table a record goes to.
//!
//! The finest table that fits and whose chain for this rule is short. If there is none, a new
//! table: a coarse one for a rule that fits nowhere, else the coarsest that tells the rules of the
//! full chain apart, which then move there. Rules that no table tells apart become a pile.

use crate::address::Address;
use crate::bucket::Hash;
use crate::record::{ALIVE, Content, NONE};
use crate::rule::{Order, Rule};
use crate::shape::{Masks, Shape};
use crate::table::Table;
use crate::writer::{Done, Writer};
use crate::{Limit, RULE_TABLES, SHADOW_TABLES};

/// The length from which a chain is told apart. Few tables with longer chains are faster than many
/// with shorter ones: a chain is left at the first rule that takes the packet, a table costs each.
const LONG: usize = 16;
/// The length from which it becomes a pile.
const TOO_LONG: usize = 32;

/// Which tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layer {
    /// Those for all rules.
    Rules = 0,
    /// Those for packets that hide their ports.
    Shadows = 1,
}

/// What the writer knows of a table.
#[derive(Debug)]
pub(crate) struct Sheet<A> {
    pub(crate) shape: Shape,
    pub(crate) masks: Masks<A>,
    pub(crate) layer: Layer,
    pub(crate) table: Table,
    /// Records that are linked, dead ones too.
    pub(crate) linked: usize,
    /// No record is better.
    pub(crate) least: Order,
}

impl<A: Address> Writer<A> {
    /// Makes a record of the version to come and puts it into a table.
    pub(crate) fn place(&mut self, layer: Layer, content: &Content<A>) -> Result<u32, Limit> {
        let number = self.new_record(content)?;
        let shape = Shape::of(&content.rule);
        let placed = self
            .choose(layer, shape, &content.rule)
            .and_then(|table| self.link(table, number, &content.rule));
        match placed {
            Ok(()) => {
                self.join_group(number);
                self.log.push(Done::Born(number));
                Ok(number)
            }
            Err(limit) => {
                self.records.give(number);
                Err(limit)
            }
        }
    }

    fn new_record(&mut self, content: &Content<A>) -> Result<u32, Limit> {
        let bound = self.index.records.capacity();
        let full = Limit::Rules(self.config.rules);
        let number = self.records.take(bound).ok_or(full)?;
        let record = self.index.records.make(number).ok_or(full)?;
        record.fill(content, self.version + 1);
        Ok(number)
    }

    pub(crate) fn hash(&self, table: u8, rule: &Rule<A>) -> Option<Hash> {
        let sheet = self.sheets[usize::from(table)].as_ref()?;
        Some(hash(&self.index.seed, &sheet.masks, rule))
    }

    /// The table for a rule, made if need be.
    fn choose(&mut self, layer: Layer, shape: Shape, rule: &Rule<A>) -> Result<u8, Limit> {
        let mut finest = None;
        for table in &self.layers[layer as usize] {
            let Some(sheet) = &self.sheets[usize::from(*table)] else {
                continue;
            };
            if !sheet.shape.admits(&shape) {
                continue;
            }
            let chain = self.chain(*table, hash(&self.index.seed, &sheet.masks, rule), TOO_LONG);
            if chain.len() < LONG {
                return Ok(*table);
            }
            if finest.is_none() {
                finest = Some((*table, sheet.shape, chain));
            }
        }
        let Some((table, coarse, chain)) = finest else {
            let shape = shape.ladder::<A>()[0];
            return self.found(layer, shape);
        };
        match self.finer(layer, coarse, shape, rule, &chain) {
            Some(shape) => {
                let finer = self.found(layer, shape)?;
                self.move_chain(table, finer, &chain)?;
                Ok(finer)
            }
            None => {
                self.bound_chain(table, rule, chain.len())?;
                Ok(table)
            }
        }
    }

    /// A chain that is as long as one may be becomes a pile.
    fn bound_chain(&mut self, table: u8, rule: &Rule<A>, length: usize) -> Result<(), Limit> {
        match self.hash(table, rule) {
            Some(hash) if length >= TOO_LONG => self.pile_up(table, hash),
            _ => Ok(()),
        }
    }

    /// The coarsest shape of which no table exists and that tells the rule from most of the chain.
    fn finer(
        &self,
        layer: Layer,
        coarse: Shape,
        fine: Shape,
        rule: &Rule<A>,
        chain: &[u32],
    ) -> Option<Shape> {
        if self.layers[layer as usize].len() + 1 >= layer.bound() {
            return None;
        }
        let exists = |shape: &Shape| {
            self.layers[layer as usize]
                .iter()
                .filter_map(|table| self.sheets[usize::from(*table)].as_ref())
                .any(|sheet| sheet.shape == *shape)
        };
        let alike = |shape: Shape| {
            let masks = Masks::of(shape);
            let own = hash(&self.index.seed, &masks, rule);
            let records = chain.iter().filter_map(|number| self.record(*number));
            let is_alike = |rule: &Rule<A>| {
                shape.admits(&Shape::of(rule)) && hash(&self.index.seed, &masks, rule) == own
            };
            records.filter(|record| is_alike(&record.rule())).count()
        };
        let ladder = fine.ladder::<A>().map(|shape| match layer {
            Layer::Rules => shape,
            Layer::Shadows => shape.without_ports(),
        });
        let candidates = ladder
            .into_iter()
            .filter(|shape| coarse.admits(shape) && coarse != *shape && !exists(shape));
        candidates
            .map(|shape| (alike(shape), shape))
            .find(|(alike, _)| *alike <= LONG / 2)
            .map(|(_, shape)| shape)
    }

    /// Begins a table. The last one is kept for what fits nowhere else.
    fn found(&mut self, layer: Layer, shape: Shape) -> Result<u8, Limit> {
        let count = self.layers[layer as usize].len();
        let shape = match layer {
            _ if count + 1 >= layer.bound() => Shape::default(),
            Layer::Rules => shape,
            Layer::Shadows => shape.without_ports(),
        };
        let free = layer.tables().find(|table| self.sheets[*table].is_none());
        // Tables that readers may still see are out of the layer and not free yet.
        let table = free.ok_or(Limit::Limbo(self.config.limbo))?;
        let begun = Table::found(&self.index.pages, &mut self.book);
        let begun = begun.map_err(|full| self.limit(full))?;
        self.sheets[table] = Some(Sheet {
            shape,
            masks: Masks::of(shape),
            layer,
            table: begun,
            linked: 0,
            least: Order(u64::MAX),
        });
        let sheets = &self.sheets;
        let bits = |table: &u8| {
            let sheet = sheets[usize::from(*table)].as_ref();
            sheet.map_or(0, |sheet| sheet.shape.bits())
        };
        let order = &mut self.layers[layer as usize];
        order.push(table as u8);
        order.sort_by_key(|table| std::cmp::Reverse(bits(table)));
        Ok(table as u8)
    }

    /// Moves the rules of a chain that fit into a finer table there: new records of the version to
    /// come, while the old ones leave with it.
    fn move_chain(&mut self, from: u8, to: u8, chain: &[u32]) -> Result<(), Limit> {
        let Some(shape) = self.sheets[usize::from(to)]
            .as_ref()
            .map(|sheet| sheet.shape)
        else {
            return Ok(());
        };
        for number in chain {
            let Some(record) = self.record(*number) else {
                continue;
            };
            let content = record.content();
            let fits = shape.admits(&Shape::of(&content.rule));
            if !fits || record.died() != ALIVE || record.table() != from {
                continue;
            }
            self.make_room_in_limbo()?;
            let copy = self.new_record(&content)?;
            if let Err(limit) = self.link(to, copy, &content.rule) {
                self.records.give(copy);
                return Err(limit);
            }
            self.moved += 1;
            self.log.push(Done::Born(copy));
            self.kill(*number);
            self.join_group(copy);
            self.moved_to(to, &content, copy);
        }
        Ok(())
    }

    /// Who knew the old record knows the new one.
    fn moved_to(&mut self, table: u8, content: &Content<A>, copy: u32) {
        let layer = self.sheets[usize::from(table)]
            .as_ref()
            .map(|sheet| sheet.layer);
        match layer {
            Some(Layer::Shadows) => {
                let rule = &content.rule;
                let key = (rule.source, rule.destination, rule.protocol);
                let before = self.groups.get(&key).map_or(NONE, |group| group.shadow());
                self.set_shadow(key, copy);
                self.log.push(Done::Shadowed(key, before));
            }
            Some(Layer::Rules) | None => self.set_record(content.number, copy),
        }
    }
}

impl Layer {
    /// The most tables.
    const fn bound(self) -> usize {
        match self {
            Layer::Rules => RULE_TABLES,
            Layer::Shadows => SHADOW_TABLES,
        }
    }

    fn tables(self) -> std::ops::Range<usize> {
        match self {
            Layer::Rules => 0..RULE_TABLES,
            Layer::Shadows => RULE_TABLES..RULE_TABLES + SHADOW_TABLES,
        }
    }
}

/// The hash of a rule that fits into a table of this shape.
fn hash<A: Address>(seed: &[u64; 4], masks: &Masks<A>, rule: &Rule<A>) -> Hash {
    let [first, second] = rule
        .ports
        .map_or([0; 2], |ports| ports.map(|range| range.first()));
    let ports = u32::from(first) << 16 | u32::from(second);
    Hash::of(masks.hash(seed, rule.source.first(), rule.destination.first(), ports))
}
