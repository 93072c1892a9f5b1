//! The writer: changes that are published whole.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::address::Address;
use crate::groups::{Group, GroupKey};
use crate::index::Index;
use crate::limbo::{Limbo, Retired};
use crate::paged::Numbers;
use crate::place::{Layer, Sheet};
use crate::plan::{FEW, Plan, Step};
use crate::reader::Reader;
use crate::record::{ALIVE, Content, NONE, Record};
use crate::rule::{Order, Rule};
use crate::table::PageBook;
use crate::{Config, Limit, TABLES};

/// A rule that was inserted, for its removal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RuleId(u32);

/// The one who changes the rules.
#[derive(Debug)]
pub struct Writer<A: Address> {
    pub(crate) index: Arc<Index<A>>,
    pub(crate) config: Config,
    /// The version in force.
    pub(crate) version: u64,
    /// What is known of each table.
    pub(crate) sheets: Vec<Option<Sheet<A>>>,
    /// The tables of each layer that rules may go to, the finest first.
    pub(crate) layers: [Vec<u8>; 2],
    pub(crate) book: PageBook,
    pub(crate) records: Numbers,
    pub(crate) piles: Numbers,
    /// Each rule's record, and which numbers are free.
    rules: Vec<u32>,
    numbers: Numbers,
    live: u32,
    /// The rules while there are few.
    few: Option<Vec<u32>>,
    pub(crate) groups: HashMap<GroupKey<A>, Group, FixedState>,
    pub(crate) dirty: Vec<GroupKey<A>>,
    pub(crate) limbo: Limbo<A>,
    pub(crate) log: Vec<Done<A>>,
    /// Members of piles that were written anew, ever.
    pub(crate) moved: u64,
}

/// What a change did so far, to be finished or undone.
#[derive(Debug)]
pub(crate) enum Done<A> {
    /// This record is of the version to come.
    Born(u32),
    /// This one is not.
    Died(u32),
    /// A rule has another record than before.
    Placed(u32, u32),
    /// A rule's number was taken.
    Numbered(u32),
    /// A rule's number is to be given back.
    Removed(u32),
    /// A group has another shadow than before.
    Shadowed(GroupKey<A>, u32),
}

/// What tables look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Rules in force.
    pub rules: u32,
    /// Tables for rules.
    pub tables: usize,
    /// Tables for packets that hide their ports.
    pub shadow_tables: usize,
    /// Piles of rules that no table tells apart.
    pub piles: usize,
    /// Records and pages that wait for readers to pass.
    pub limbo: usize,
    /// Entries that inserts and removals moved, ever: lanes of pages that were split, records that
    /// went to a finer table, members of a pile's block.
    pub moved: u64,
    /// Octets of shared memory.
    pub octets: usize,
}

impl<A: Address> Writer<A> {
    /// No rules.
    pub fn new(config: Config) -> Self {
        Writer {
            index: Arc::new(Index::new(&config)),
            version: 0,
            sheets: (0..TABLES).map(|_| None).collect(),
            layers: Default::default(),
            book: PageBook::default(),
            records: Numbers::from(NONE + 1),
            piles: Numbers::default(),
            rules: Vec::new(),
            numbers: Numbers::default(),
            live: 0,
            few: Some(Vec::new()),
            groups: HashMap::with_hasher(FixedState::with_seed(config.seed[0])),
            dirty: Vec::new(),
            limbo: Limbo::default(),
            log: Vec::new(),
            moved: 0,
            config,
        }
    }

    /// A reader; `None` if there are as many as the configuration allows.
    pub fn reader(&self) -> Option<Reader<A>> {
        Reader::new(&self.index)
    }

    /// How many rules are in force.
    pub fn len(&self) -> u32 {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// What a rule was inserted with.
    pub fn get(&self, id: RuleId) -> Option<(Rule<A>, Order, u32)> {
        let number = *self.rules.get(id.0 as usize)?;
        let content = self.record(number)?.content();
        Some((content.rule, content.order, content.value))
    }

    /// Begins a change. Readers see nothing of it before it is committed; dropped, it never was.
    pub fn change(&mut self) -> Change<'_, A> {
        let before = (self.live, self.few.clone());
        Change {
            writer: self,
            before,
            is_committed: false,
        }
    }

    /// Uses again what readers have passed; changes do this themselves, a part at a time.
    pub fn reclaim(&mut self) {
        self.pass(usize::MAX);
    }

    /// What the tables look like.
    pub fn stats(&self) -> Stats {
        Stats {
            rules: self.live,
            tables: self.layers[Layer::Rules as usize].len(),
            shadow_tables: self.layers[Layer::Shadows as usize].len(),
            piles: self.piles.in_use(),
            limbo: self.limbo.len(),
            moved: self.moved + self.book.moved,
            octets: self.index.octets() + self.octets(),
        }
    }

    /// The writer's own octets, about.
    fn octets(&self) -> usize {
        let group = size_of::<(GroupKey<A>, Group)>() + 1;
        let members: usize = self.groups.values().map(Group::octets).sum();
        self.rules.capacity() * size_of::<u32>() + self.groups.capacity() * group + members
    }

    pub(crate) fn record(&self, number: u32) -> Option<&Record<A>> {
        if number == NONE {
            return None;
        }
        self.index.records.get(number)
    }

    /// The version that the change at hand makes.
    pub(crate) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// The record is not of the version to come.
    pub(crate) fn kill(&mut self, number: u32) {
        let version = self.next_version();
        if let Some(record) = self.record(number) {
            record.set_died(version);
        }
        self.leave_group(number);
        self.log.push(Done::Died(number));
    }

    /// A rule has another record.
    pub(crate) fn set_record(&mut self, number: u32, record: u32) {
        let at = number as usize;
        if self.rules.len() <= at {
            self.rules.resize(at + 1, NONE);
        }
        let before = std::mem::replace(&mut self.rules[at], record);
        self.log.push(Done::Placed(number, before));
    }

    /// The list of tables for the version to come; tables without rules leave it.
    fn plan(&mut self) -> Plan<A> {
        let version = self.next_version();
        let mut plan = Plan {
            version,
            tables: Vec::with_capacity(self.layers[0].len()),
            shadows: Vec::with_capacity(self.layers[1].len()),
            few: None,
        };
        for layer in [Layer::Rules, Layer::Shadows] {
            let steps = match layer {
                Layer::Rules => &mut plan.tables,
                Layer::Shadows => &mut plan.shadows,
            };
            let sheets = &mut self.sheets;
            let limbo = &mut self.limbo;
            self.layers[layer as usize].retain(|table| {
                let Some(sheet) = sheets[usize::from(*table)].as_mut() else {
                    return false;
                };
                if sheet.linked == 0 {
                    limbo.push(version, Retired::Table(*table));
                    return false;
                }
                steps.push(Step {
                    least: sheet.least,
                    masks: sheet.masks,
                    has_ports: sheet.shape.has_ports(),
                    directory: sheet.table.show(),
                });
                true
            });
            steps.sort_unstable_by_key(|step| step.least);
        }
        plan.few = self.few.as_ref().map(|few| {
            let records = few.iter().map(|number| self.rules[*number as usize]);
            let contents = records.filter_map(|record| self.record(record).map(Record::content));
            let mut contents: Vec<Content<A>> = contents.collect();
            contents.sort_unstable_by_key(|content| content.order);
            contents
        });
        plan
    }

    fn finish(&mut self, before_publication: impl FnOnce()) {
        let plan = Arc::new(self.plan());
        let version = plan.version;
        self.index.versions.open(version);
        before_publication();
        let old = self.index.plan.replace(Some(plan));
        self.index.versions.publish(version);
        self.version = version;
        self.limbo.keep_plan(old);
        let done = std::mem::take(&mut self.log);
        for step in &done {
            match step {
                Done::Died(record) => self.limbo.push(version, Retired::Dead(*record)),
                Done::Removed(number) => self.numbers.give(*number),
                Done::Born(_) | Done::Placed(..) | Done::Numbered(_) | Done::Shadowed(..) => {}
            }
        }
        self.retire_pages(version);
        self.pass(64 + 4 * done.len());
        self.log = done;
        self.log.clear();
    }

    fn undo(&mut self, (live, few): (u32, Option<Vec<u32>>)) {
        let version = self.next_version();
        let mut log = std::mem::take(&mut self.log);
        for step in log.drain(..).rev() {
            match step {
                Done::Born(number) => {
                    self.leave_group(number);
                    if let Some(record) = self.record(number) {
                        record.set_died(record.born());
                    }
                    self.unlink(number);
                    self.limbo.push(version, Retired::Record(number));
                }
                Done::Died(number) => {
                    if let Some(record) = self.record(number) {
                        record.set_died(ALIVE);
                    }
                    self.join_group(number);
                }
                Done::Placed(number, before) => self.rules[number as usize] = before,
                Done::Numbered(number) => self.numbers.give(number),
                Done::Removed(_) => {}
                Done::Shadowed(key, before) => self.set_shadow(key, before),
            }
        }
        self.log = log;
        self.settle_groups();
        self.retire_pages(version);
        (self.live, self.few) = (live, few);
    }
}

/// A change in the making.
#[derive(Debug)]
pub struct Change<'a, A: Address> {
    writer: &'a mut Writer<A>,
    before: (u32, Option<Vec<u32>>),
    is_committed: bool,
}

impl<A: Address> Change<'_, A> {
    /// Puts a rule in; `value` is given back with each hit.
    ///
    /// # Errors
    /// A bound; the change goes on without the rule.
    pub fn insert(&mut self, rule: &Rule<A>, order: Order, value: u32) -> Result<RuleId, Limit> {
        let writer = &mut *self.writer;
        let bound = writer.config.rules;
        if writer.live >= bound {
            return Err(Limit::Rules(bound));
        }
        let most = bound as usize + writer.log.len();
        let number = writer.numbers.take(most).ok_or(Limit::Rules(bound))?;
        let content = Content {
            rule: *rule,
            order,
            value,
            number,
        };
        match writer.place(Layer::Rules, &content) {
            Ok(record) => {
                writer.log.push(Done::Numbered(number));
                writer.set_record(number, record);
            }
            Err(limit) => {
                writer.numbers.give(number);
                return Err(limit);
            }
        }
        writer.live += 1;
        if let Some(few) = &mut writer.few {
            few.push(number);
            if few.len() > FEW {
                writer.few = None;
            }
        }
        Ok(RuleId(number))
    }

    /// Takes a rule out; `false` if there is none of this name.
    ///
    /// # Errors
    /// [`Limit::Limbo`]; the change goes on with the rule in it.
    pub fn remove(&mut self, id: RuleId) -> Result<bool, Limit> {
        let writer = &mut *self.writer;
        let RuleId(number) = id;
        let record = writer.rules.get(number as usize).copied().unwrap_or(NONE);
        if record == NONE {
            return Ok(false);
        }
        writer.make_room_in_limbo()?;
        writer.kill(record);
        writer.set_record(number, NONE);
        writer.log.push(Done::Removed(number));
        writer.live -= 1;
        if let Some(few) = &mut writer.few {
            few.retain(|other| *other != number);
        }
        if writer.live == 0 {
            writer.few = Some(Vec::new());
        }
        Ok(true)
    }

    /// Publishes all of it at once, and gives the version.
    ///
    /// # Errors
    /// A bound; nothing of the change was done.
    pub fn commit(self) -> Result<u64, Limit> {
        self.commit_with(|| ())
    }

    /// The same, and does something between the announcement of the version
    /// ([`View::is_current`](crate::View::is_current) is false from then on) and its publication.
    ///
    /// # Errors
    /// A bound; nothing of the change was done, and `before_publication` was not called.
    pub fn commit_with(mut self, before_publication: impl FnOnce()) -> Result<u64, Limit> {
        self.writer.shadow_groups()?;
        self.is_committed = true;
        self.writer.finish(before_publication);
        Ok(self.writer.version)
    }
}

impl<A: Address> Drop for Change<'_, A> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.writer.undo(std::mem::take(&mut self.before));
        }
    }
}
