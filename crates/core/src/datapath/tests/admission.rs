//! The truth table of inbound admission, cell by cell (DESIGN: admission).

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;
use sealway_packet::{Arrival, Packet, Train};
use sealway_wire::Family;

/// The SAs that a packet comes through.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Through {
    Nothing,
    Transport,
    Tunnel,
    TransportInTunnel,
}

/// What becomes of a packet that came through these SAs under this policy, whether the SAs say
/// their mode or are for any.
fn judge(
    through: Through,
    action: Option<Action>,
    default: DefaultAction,
) -> Result<(), DropReason> {
    let said = judge_through(through, action.clone(), default, |mode| mode);
    let any = judge_through(through, action, default, |_| SaMode::Any);
    assert_eq!(said, any, "{through:?} with SAs of mode any");
    said
}

fn judge_through(
    through: Through,
    action: Option<Action>,
    default: DefaultAction,
    declared: fn(SaMode) -> SaMode,
) -> Result<(), DropReason> {
    let transport = sa(LEFT, RIGHT, 0x1000, declared(SaMode::Transport));
    let tunnelled = sa(LEFT, RIGHT, 0x1001, declared(SaMode::Tunnel));
    let (templates, sas) = match through {
        Through::Nothing => (vec![], vec![]),
        Through::Transport => (vec![TRANSPORT], vec![transport]),
        Through::Tunnel => (vec![tunnel(LEFT, RIGHT)], vec![tunnelled]),
        Through::TransportInTunnel => (
            vec![TRANSPORT, tunnel(LEFT, RIGHT)],
            vec![transport, tunnelled],
        ),
    };
    let packet = udp(LEFT, RIGHT, 20);
    let arrival = if templates.is_empty() {
        Packet::new(Train::detached(&packet), Arrival::Whole { interface: 0 })
    } else {
        let (mut a, _) = pair(Family::V4, templates, sas.clone());
        let (egress, train) = send(&mut a, &packet);
        arrive(egress, train.packet())
    };
    let mut commands: Vec<_> = sas.into_iter().map(add_sa).collect();
    commands.push(Command::SetDefault(default));
    commands
        .extend(action.map(|action| Command::AddPolicy(policy(Direction::In, Family::V4, action))));
    let mut b = engine(&[RIGHT], commands);
    match b.input(arrival) {
        Verdict::Delivered(_) => Ok(()),
        Verdict::Dropped(reason) => Err(reason),
        other => panic!("{other:?}"),
    }
}

const ALL: [Through; 4] = [
    Through::Nothing,
    Through::Transport,
    Through::Tunnel,
    Through::TransportInTunnel,
];

#[test]
fn protect_demands_its_sas_and_tolerates_a_transport_sa_more() {
    use Through::*;
    let strict = |templates: Vec<Template>| Some(Action::Protect(templates));
    type Row = (Vec<Template>, [Result<(), DropReason>; 4]);
    let table: [Row; 3] = [
        (
            vec![TRANSPORT],
            [
                Err(DropReason::Unprotected),
                Ok(()),
                Err(DropReason::TemplateMismatch),
                Err(DropReason::TemplateMismatch),
            ],
        ),
        (
            vec![tunnel(LEFT, RIGHT)],
            [
                Err(DropReason::Unprotected),
                Err(DropReason::TemplateMismatch),
                Ok(()),
                Ok(()),
            ],
        ),
        (
            vec![TRANSPORT, tunnel(LEFT, RIGHT)],
            [
                Err(DropReason::Unprotected),
                Err(DropReason::TemplateMismatch),
                Err(DropReason::TemplateMismatch),
                Ok(()),
            ],
        ),
    ];
    for (templates, expected) in table {
        for (through, expected) in [Nothing, Transport, Tunnel, TransportInTunnel]
            .into_iter()
            .zip(expected)
        {
            for default in [DefaultAction::Discard, DefaultAction::Bypass] {
                let came = judge(through, strict(templates.clone()), default);
                assert_eq!(came, expected, "{through:?} under {templates:?}");
            }
        }
    }
}

#[test]
fn level_use_admits_clear_traffic_but_no_tunnel_that_was_not_asked_for() {
    let lax = Action::Protect(vec![Template {
        level: Level::Use,
        ..TRANSPORT
    }]);
    let expected = [
        Ok(()),
        Ok(()),
        Err(DropReason::TemplateMismatch),
        Err(DropReason::TemplateMismatch),
    ];
    for (through, expected) in ALL.into_iter().zip(expected) {
        assert_eq!(
            judge(through, Some(lax.clone()), DefaultAction::Discard),
            expected,
            "{through:?}"
        );
    }
}

#[test]
fn bypass_admits_what_came_through_no_tunnel() {
    let unexpected = Err(DropReason::TunnelUnexpected);
    for (through, expected) in ALL
        .into_iter()
        .zip([Ok(()), Ok(()), unexpected, unexpected])
    {
        assert_eq!(
            judge(through, Some(Action::Bypass), DefaultAction::Discard),
            expected
        );
    }
}

#[test]
fn discard_drops_everything() {
    for through in ALL {
        let came = judge(through, Some(Action::Discard), DefaultAction::Bypass);
        assert_eq!(came, Err(DropReason::PolicyDiscardIn));
    }
}

#[test]
fn without_a_policy_the_default_decides_but_never_lets_a_tunnel_in() {
    for through in ALL {
        let came = judge(through, None, DefaultAction::Discard);
        assert_eq!(came, Err(DropReason::NoPolicyIn));
        let tunnelled = matches!(through, Through::Tunnel | Through::TransportInTunnel);
        let came = judge(through, None, DefaultAction::Bypass);
        assert_eq!(came.is_err(), tunnelled, "{through:?}");
    }
}

#[test]
fn a_template_asks_for_its_own_ends_and_request_identifier() {
    let elsewhere = Action::Protect(vec![tunnel("192.0.2.9", RIGHT)]);
    let came = judge(Through::Tunnel, Some(elsewhere), DefaultAction::Discard);
    assert_eq!(came, Err(DropReason::TemplateMismatch));
    let mut unique = tunnel(LEFT, RIGHT);
    unique.level = Level::Unique;
    unique.reqid = Some(7);
    let came = judge(
        Through::Tunnel,
        Some(Action::Protect(vec![unique])),
        DefaultAction::Discard,
    );
    assert_eq!(came, Err(DropReason::TemplateMismatch));
}

#[test]
fn what_was_admitted_before_is_judged_again_under_new_policies_and_other_sas() {
    let first = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let mut second = sa(LEFT, RIGHT, 0x1001, SaMode::Tunnel);
    second.reqid = 5;
    let mut template = tunnel(LEFT, RIGHT);
    let (mut a, mut b) = pair(Family::V4, vec![template], vec![first, second.clone()]);
    let packet = inside(Family::V4, 9);
    let (egress, train) = send(&mut a, &packet);
    let _ = deliver(&mut b, arrive(egress, train.packet()));
    template.reqid = Some(6);
    template.level = Level::Unique;
    let mut stricter = policy(Direction::In, Family::V4, Action::Protect(vec![template]));
    stricter.priority = 1;
    b.apply(vec![Command::AddPolicy(stricter)]).unwrap();
    b.begin(Time::default());
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(
        reject(&mut b, arrive(egress, train.packet())),
        DropReason::TemplateMismatch
    );
}
