//! Kayenta's own vectors: ClassifierSuite.scala and ScorerSuite.scala of kayenta-judge.
//! Must never be made from the port.

use super::{ANY_EFFECT, Class, Direction, Scored, classify, score};

/// The suite's `fraction = 0.10, confLevel = 0.95`.
const FRACTION: f64 = 0.1;
const Z_95: f64 = 1.959_963_984_540_054;

const AROUND_TEN: [f64; 30] = [
    9.776734312010946,
    10.587071850477695,
    7.837550638890177,
    9.324332688611388,
    8.377450540978442,
    8.935926439960628,
    8.270766332472851,
    9.748430812671693,
    11.623746715547156,
    9.275344267963394,
    8.153804774917152,
    10.562020975754294,
    13.498135575451835,
    11.054419256110332,
    6.953890359005509,
    12.52100834219548,
    9.021635860354644,
    4.923485669953166,
    11.251360203607172,
    11.598449508040337,
    8.435232204668182,
    11.110228516867279,
    10.70063380164755,
    8.921277365211525,
    10.086167067942661,
    11.42107515483087,
    9.379234781364495,
    7.798032014855259,
    10.62339807275746,
    11.909642062063739,
];
const TEN_CONTROL: [f64; 30] = [
    11.1453586774086,
    9.961805988559702,
    7.068574306369829,
    7.301266181048366,
    9.794463026565673,
    9.60379186036873,
    6.186779335033939,
    12.345599159550174,
    10.371891733859533,
    8.609430078501672,
    9.913162673361084,
    10.361375299003466,
    14.206800387518818,
    10.9461537547533,
    10.215876627044048,
    11.739760899484603,
    10.907627468626439,
    12.823353694464775,
    8.101860977173214,
    8.498161640880493,
    12.113441374697231,
    13.272210809932028,
    10.114579381663297,
    6.946395876797807,
    6.210527854172778,
    10.160401684903775,
    8.345771206645546,
    8.383822063895833,
    7.0020205070083765,
    10.755757401808442,
];
const AROUND_TWENTY: [f64; 30] = [
    20.878412601720026,
    21.78550581191622,
    19.70828084717019,
    15.859946903461562,
    19.51005877217684,
    19.392005525270303,
    22.9265283149121,
    17.156530276709894,
    18.65511791622617,
    23.422607911610392,
    24.055817684156644,
    22.62689958516501,
    21.979472967817678,
    21.659318607218694,
    20.067707574072426,
    22.119570836305414,
    16.44037132663307,
    21.55962282634127,
    21.00018144348922,
    17.779369411412663,
    17.806006358943584,
    18.53720061838611,
    20.555550300210797,
    19.552928184468378,
    21.771118944087092,
    21.809622806176627,
    20.96176290990527,
    20.97757157750302,
    19.106303205498794,
    16.97691896698708,
];
const TWENTY_CONTROL: [f64; 30] = [
    20.758113589510348,
    22.80205962946456,
    20.61234036349221,
    20.973274654749986,
    23.469237330498622,
    21.53133988954805,
    21.767353687439805,
    18.3080507303743,
    19.062145167827566,
    25.87949843600178,
    18.98262972633613,
    19.387920182269266,
    18.995398251246982,
    24.228420230932805,
    20.050985172694688,
    18.2340451091756,
    17.870515494460435,
    23.05810386380662,
    18.400259567501134,
    16.971352091177167,
    19.46752906605215,
    17.90465423342031,
    17.55394861782583,
    16.104611843907193,
    24.38171081433039,
    15.919294339922635,
    20.479409626304697,
    19.08307201492406,
    17.455788050722866,
    18.853826823235142,
];

#[test]
fn classifier_suite() {
    let cases = [
        ("Pass Metric", &TEN_CONTROL, &AROUND_TEN, Direction::Either, Class::Pass),
        ("High Metric", &TEN_CONTROL, &AROUND_TWENTY, Direction::Either, Class::High),
        ("Low Metric", &TWENTY_CONTROL, &AROUND_TEN, Direction::Either, Class::Low),
        ("Directional: Increase", &TWENTY_CONTROL, &AROUND_TEN, Direction::Increase, Class::Pass),
        ("Directional: Decrease", &TEN_CONTROL, &AROUND_TWENTY, Direction::Decrease, Class::Pass),
        ("Directional: High", &TEN_CONTROL, &AROUND_TWENTY, Direction::Increase, Class::High),
        ("Directional: Low", &TWENTY_CONTROL, &AROUND_TEN, Direction::Decrease, Class::Low),
    ];
    for (name, control, experiment, direction, class) in cases {
        let found = classify(control, experiment, direction, FRACTION, Z_95, ANY_EFFECT);
        assert_eq!(found, class, "{name}");
    }
    // MannWhitneyClassifier.scala: no data, equal data.
    let plain = |control: &[f64], experiment: &[f64]| {
        classify(control, experiment, Direction::Either, FRACTION, Z_95, ANY_EFFECT)
    };
    assert_eq!(plain(&[], &[1.0]), Class::NoData);
    assert_eq!(plain(&[1.0, 2.0], &[1.0, 2.0]), Class::Pass);
}

#[test]
fn mean_ratio_effect_size() {
    // ClassifierSuite.scala, "Mean Ratio Effect Size: High", "Low" and "Pass".
    let (high, small) = ([20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0]);
    let middle = [10.0, 12.2, 10.1, 12.5, 23.0];
    let cases: [(&[f64], &[f64], _, _, _); 3] = [
        (&small, &high, Direction::Either, (0.8, 1.2), Class::High),
        (&TWENTY_CONTROL, &AROUND_TEN, Direction::Decrease, (0.8, 1.2), Class::Low),
        (&high, &middle, Direction::Either, (0.5, 1.0), Class::Pass),
    ];
    for (control, experiment, direction, effects, class) in cases {
        assert_eq!(classify(control, experiment, direction, FRACTION, Z_95, effects), class);
    }
}

/// A test's name, its metrics, the weights of groups, the score.
type Case<'a> = (&'static str, &'a [Scored], &'a [(&'static str, f64)], f64);

#[test]
fn scorer_suite() {
    let of = |class, group| Scored { class, group, is_critical: false, is_reported_only: false };
    let critical = |class| Scored { is_critical: true, ..of(class, "a") };
    let reported = |class| Scored { is_reported_only: true, ..of(class, "a") };
    let (pass, high, low) = (Class::Pass, Class::High, Class::Low);
    let weighted = [("1", 75.0), ("2", 25.0)];
    let half = [("1", 50.0), ("2", 50.0)];
    let cases: [Case<'_>; 10] = [
        ("Single Metric Pass", &[of(pass, "a")], &[], 100.0),
        ("Single Metric Fail", &[of(high, "a")], &[], 0.0),
        ("One Group, Two Metrics", &[of(pass, "a"), of(high, "a")], &[], 50.0),
        ("One Group, Three", &[of(pass, "a"), of(high, "a"), of(low, "a")], &[], 33.333),
        ("Two Groups", &[of(pass, "1"), of(pass, "1"), of(high, "2")], &weighted, 75.0),
        ("Equal Weight", &[of(pass, "1"), of(high, "1"), of(high, "2")], &half, 25.0),
        ("No Data", &[of(Class::NoData, "a")], &[], 0.0),
        ("one fail (critical)", &[of(pass, "a"), critical(high)], &[], 0.0),
        ("one good (critical)", &[of(low, "a"), critical(pass)], &[], 50.0),
        ("one fail (report-only)", &[of(pass, "a"), reported(high)], &[], 100.0),
    ];
    for (name, metrics, weights, expected) in cases {
        let found = score(metrics, weights);
        assert!((found - expected).abs() < 1e-2, "{name}: {found}");
    }
}
