"""Section 3 of the rules, the second part: how accounts trade, fee tiers, bands, schedules, protection, exposure, restrictions."""
from cambist.messages import MAX_AMOUNT, TIERS, Kind, Reason
from cambist.simulation.twin.configuration_rules import BILLION_BILLION, boolean, rebate_too_high
from cambist.simulation.twin.model import Command, Exposure, Protection, Schedule, State, Tier
from cambist.simulation.twin.session_rules import due_after, well_formed

K, R = Kind, Reason
TRADING = ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "duplicate_window", "tier",
           "fee_instrument")
BAND = ("band_ppm", "auction", "indicative")


def check_trading(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if not all(0 <= c[name] < 1 << 31 for name in ("trade_group", "max_waiting", "cancel_reserve", "max_executions")) or not 0 <= c["self_trade_scope"] <= 2:
        return R.BAD_VALUE
    if not all(0 <= c[name] <= BILLION_BILLION for name in ("execution_window", "duplicate_window")) or not 0 <= c["tier"] < TIERS:
        return R.BAD_VALUE
    if c["max_executions"] and c["execution_window"] == 0:
        return R.BAD_VALUE
    return R.NONE if c["fee_instrument"] == 0 or c["fee_instrument"] in t.instruments else R.UNKNOWN_INSTRUMENT


def set_trading(t: State, c: Command) -> None:
    for name in TRADING:
        setattr(t.accounts[c.account], name, c[name])
    t.done(c, c.account)


def check_tier(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not 1 <= c["tier"] < TIERS or not -1_000_000 <= c["maker_ppm"] <= 1_000_000 or not 0 <= c["minimum"] <= MAX_AMOUNT:
        return R.BAD_VALUE
    if not all(0 <= c[name] <= 1_000_000 for name in ("taker_ppm", "rfq_ppm")) or rebate_too_high(t, c.instrument, c["tier"], c):
        return R.BAD_VALUE
    return R.NONE


def set_tier(t: State, c: Command) -> None:
    t.tiers[c.instrument, c["tier"]] = Tier(c["maker_ppm"], c["taker_ppm"], c["rfq_ppm"], c["minimum"])
    t.done(c, c.instrument)


def check_band(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not 0 <= c["band_ppm"] <= 1_000_000 or not all(0 <= c[name] <= BILLION_BILLION for name in ("window", "auction", "indicative")):
        return R.BAD_VALUE
    return R.BAD_VALUE if c["band_ppm"] and not (c["window"] and c["auction"]) else R.NONE


def set_band(t: State, c: Command) -> None:
    ins = t.instruments[c.instrument]
    for name in BAND:
        setattr(ins, name, c[name])
    ins.band_window = c["window"]
    t.done(c, c.instrument)


def check_schedule(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not 0 <= c["slot"] <= 7 or not 1 <= c["period"] <= BILLION_BILLION or not 0 <= c["offset"] < c["period"] or not boolean(c["enabled"]):
        return R.BAD_VALUE
    return R.NONE if well_formed(c["session"], c["next"], c["duration"]) else R.BAD_VALUE


def set_schedule(t: State, c: Command) -> None:
    t.schedules[c.instrument, c["slot"]] = Schedule(c["offset"], c["period"], c["session"], c["next"], c["duration"], c["enabled"],
                                                    due_after(t.time, c["offset"], c["period"]))
    t.done(c, c.instrument)


def check_protection(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not all(0 <= c[name] <= MAX_AMOUNT for name in ("quantity", "delta")) or not 0 <= c["window"] <= BILLION_BILLION:
        return R.BAD_VALUE
    return R.BAD_VALUE if (c["quantity"] or c["delta"]) and c["window"] < 8 else R.NONE


def set_protection(t: State, c: Command) -> None:
    row = t.protections.setdefault((c.account, c.instrument), Protection(0, 0, 0))
    if row.window != c["window"]:               # the eighths are others now
        row.bucket, row.bought, row.sold = 0, [0] * 8, [0] * 8
    row.quantity, row.delta, row.window = c["quantity"], c["delta"], c["window"]
    t.done(c, c.account)


def check_exposure(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if not all(0 <= c[name] <= MAX_AMOUNT for name in ("gross", "net", "loss")):
        return R.BAD_VALUE
    return R.IN_USE if c.account not in t.exposures and t.accounts[c.account].ordinal else R.NONE


def set_exposure(t: State, c: Command) -> None:
    row = t.exposures.setdefault(c.account, Exposure())
    row.gross_limit, row.net_limit, row.loss_limit = c["gross"], c["net"], c["loss"]
    t.done(c, c.account)


def check_restriction(t: State, c: Command) -> Reason:
    if (c.account == 0) == (c["number"] == 0) or not boolean(c["barred"]):
        return R.BAD_VALUE
    if c.account and c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if c["number"] and c["number"] not in t.actors:
        return R.UNKNOWN_ACTOR
    return R.NONE if c.instrument in t.instruments else R.UNKNOWN_INSTRUMENT


def set_restriction(t: State, c: Command) -> None:
    key = c.account, c["number"], c.instrument
    t.restrictions = t.restrictions | {key} if c["barred"] else t.restrictions - {key}
    t.done(c, c.account or c["number"])


HANDLERS = {
    K.CONFIGURE_TRADING: (check_trading, set_trading), K.CONFIGURE_TIER: (check_tier, set_tier), K.CONFIGURE_BAND: (check_band, set_band),
    K.CONFIGURE_SCHEDULE: (check_schedule, set_schedule), K.CONFIGURE_PROTECTION: (check_protection, set_protection),
    K.CONFIGURE_EXPOSURE: (check_exposure, set_exposure), K.CONFIGURE_RESTRICTION: (check_restriction, set_restriction),
}
