//! Each scenario as a test of its own.

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            sealway_loom::$name();
        })+
    };
}

scenarios! {
    a_leap_lets_nothing_be_accepted_twice
    a_limit_that_is_given_back_stays_above_what_was_accepted
    a_number_is_shown_before_it_is_used
    a_number_that_two_workers_have_is_accepted_once
    no_number_is_accepted_before_it_is_reserved
    no_number_is_given_twice_or_before_it_is_reserved
    nothing_is_taken_above_where_an_sa_was_closed
    the_top_is_the_highest_number_accepted
}
