"""The three pieces of the example artist: what is played when, and which tracks, devices and samples stand for it.

Shapes are in `score.py`. Names of plugins, samples and pieces are made up.
"""

from dawa_assets.example.score import (
    CLAP,
    CRASH,
    HAT,
    KICK,
    OPEN_HAT,
    RIM,
    SHAKER,
    SNARE,
    Clip,
    Note,
    Part,
    Plugin,
    Section,
    Song,
    beat_of,
    chords,
    line,
    steps,
)

_DRUM_BUS = ("Compressor2", "Eq8")


def songs() -> tuple[Song, ...]:
    """Return the example's pieces, in the order of their making."""
    return _glass_harbour(), _paper_lanterns(), _night_courier()


def _glass_harbour() -> Song:
    """122 BPM, A minor: melodic house, four on the floor, an arpeggio that opens into a sung lead."""
    changes = "A3+C4+E4+B4 F3+A3+C4+E4 C4+E4+G4+D5 E3+G3+B3+D4"
    roots = ("A1", "F1", "C2", "E1")
    kick = steps("X...x...X...x...", KICK)
    claps = steps("....x.......x...", CLAP, velocity=96)
    hats = steps("..x.o.x...x.o.xo", HAT, velocity=82) + steps("..x...x...x...x.", OPEN_HAT, velocity=70)
    shaker = steps("x.o.x.o.x.o.x.oo", SHAKER, velocity=62)
    offbeats = _bars(*(line(f"-/2 {r}/2 -/2 {r}/2 -/2 {r}/2 {r}/1 -/1 {r}/2") for r in roots))
    held = _bars(*(line(f"{r}/14 -/2") for r in roots))
    arpeggio = _bars(
        line("A4/1 C5/1 E5/1 B4/1 C5/1 E5/1 A5/1 E5/1 A4/1 C5/1 E5/1 B4/1 C5/1 E5/1 B5/1 A5/1", velocity=78),
        line("F4/1 A4/1 C5/1 E5/1 A4/1 C5/1 F5/1 E5/1 F4/1 A4/1 C5/1 E5/1 A4/1 C5/1 A5/1 E5/1", velocity=78),
        line("G4/1 C5/1 E5/1 D5/1 C5/1 E5/1 G5/1 D5/1 G4/1 C5/1 E5/1 D5/1 C5/1 E5/1 G5/1 E5/1", velocity=78),
        line("G4/1 B4/1 E5/1 D5/1 B4/1 E5/1 G5/1 E5/1 G4/1 B4/1 E5/1 D5/1 B4/1 D5/1 E5/1 G5/1", velocity=78),
    )
    melody = _bars(
        line("E5/6 D5/2 C5/4 B4/2 C5/2", velocity=100),
        line("A4/10 C5/2 E5/4", velocity=100),
        line("G5/6 E5/2 D5/4 E5/4", velocity=102),
        line("B4/8 -/2 A4/2 B4/2 D5/2", velocity=98),
    )
    stabs = chords(changes, ((0.0, 0.5), (1.5, 0.4), (3.0, 0.5)), velocity=82)
    return Song(
        title="Glass Harbour",
        live=12,
        bounce="mp3",
        tempo=122.0,
        root=9,
        mode="Minor",
        sections=(Section("Intro", 0, 4), Section("Build", 4, 4), Section("Drop", 8, 8), Section("Outro", 16, 4)),
        group_colors={"DRUMS": 14, "HARMONY": 20},
        scenes=("Intro", "Build", "Drop", "Outro"),
        parts=(
            Part("Kick", "MIDI", "kit", _blocks("Kick Four", kick, 1, (8, 8), (16, 2)), 14, "DRUMS", gain_db=-3.0,
                 devices=("DrumGroupDevice", "Saturator"), samples=("Kick Round 01.wav",)),
            Part("Clap", "MIDI", "kit", _blocks("Clap", claps, 1, (6, 2), (8, 8)), 14, "DRUMS", gain_db=-0.5,
                 reverb=0.16, devices=("DrumGroupDevice",), samples=("Clap Wide.wav",)),
            Part("Hats", "MIDI", "kit", _blocks("Hats", hats, 1, (5, 3), (8, 8), (16, 4)), 14, "DRUMS", gain_db=-3.5,
                 pan=0.12, devices=("DrumGroupDevice", *_DRUM_BUS), samples=("Hat Tight.wav", "Hat Open Air.wav")),
            Part("Shaker", "MIDI", "kit", _blocks("Shaker", shaker, 1, (2, 6), (8, 8), (16, 2)), 15, "DRUMS",
                 gain_db=-4.0, pan=-0.25, devices=("OriginalSimpler",), samples=("Shaker Loop Seed.wav",)),
            Part("Bass", "MIDI", "round_bass",
                 (*_blocks("Bass Long", held, 4, (4, 4), (16, 3)), *_blocks("Bass Offbeat", offbeats, 4, (8, 8))),
                 3, gain_db=-10.5, ducking=0.75, devices=("Operator", "Eq8", "Compressor2"),
                 plugins=(Plugin("Tidewater Sub", "VST3"),)),
            Part("Pad", "MIDI", "pad", _blocks("Pad Changes", chords(changes), 4, (0, 20)), 20, "HARMONY",
                 gain_db=-12.0, reverb=0.35, ducking=0.55, devices=("InstrumentVector", "AutoFilter", "Chorus2"),
                 sweep=((0, 420), (beat_of(4), 900), (beat_of(8), 7000), (beat_of(16), 5200), (beat_of(20), 380))),
            Part("Chord Stabs", "MIDI", "stab", _blocks("Stabs", stabs, 4, (8, 8)), 21, "HARMONY", gain_db=-12.5,
                 reverb=0.2, echo=0.12, ducking=0.35, devices=("UltraAnalog", "Delay")),
            Part("Glass Pluck", "MIDI", "pluck",
                 _blocks("Arpeggio", arpeggio, 4, (0, 18)), 22, "HARMONY", gain_db=-6.0, pan=-0.1, reverb=0.28,
                 echo=0.22, ducking=0.3, devices=("InstrumentGroupDevice", "AutoFilter"),
                 plugins=(Plugin("Halide Tape", "VST3"),),
                 sweep=((0, 900), (beat_of(8) - 0.01, 6000), (beat_of(8), 10_240), (beat_of(18), 2400))),
            Part("Lead", "MIDI", "lead", _blocks("Lead Song", melody, 4, (8, 8)), 23, "HARMONY",
                 gain_db=-7.5, pan=0.08, reverb=0.3, echo=0.3, ducking=0.2, devices=("Operator", "Reverb"),
                 plugins=(Plugin("Tidewater Echo", "VST2"),)),
            Part("Riser", "Audio", "riser", _audio("Riser Noise", "Riser Noise 122.wav", (6, 2)), 2, gain_db=-7.0,
                 reverb=0.2, devices=("AutoFilter",)),
            Part("Impact", "Audio", "impact", _audio("Impact", "Impact Deep.wav", (8, 2), (16, 2)), 2, gain_db=-9.0,
                 reverb=0.25),
        ),
    )  # fmt: skip


def _paper_lanterns() -> Song:
    """84 BPM, F major, swung: dusty drums, electric piano, a small bell, made from loops in the session view."""
    swing = 0.6
    changes = "F3+A3+C4+E4 D3+F3+A3+C4 Bb2+D3+F3+A3 C3+E3+G3+Bb3"
    turn = "F3+A3+C4+E4 D3+F3+A3+C4 G3+Bb3+D4+F4 C3+E3+G3+Bb3"
    drums = _together(
        steps("X.....o...x..o..", KICK, swing=swing, velocity=106),
        steps("....x.......x..o", SNARE, swing=swing, velocity=92),
        steps("x.x.x.xox.x.x.xo", HAT, swing=swing, velocity=74),
    )
    fill = _together(drums, steps("..........o.xoxX", SNARE, swing=swing, velocity=90))
    rims = _together(
        steps("....x..o....x...", RIM, swing=swing, velocity=80),
        steps("x.o.x.o.x.o.x.o.", SHAKER, swing=swing, velocity=60),
    )
    walk = _bars(
        line("F2/5 -/1 F2/2 C2/4 E2/2 F2/2", swing=swing, velocity=100),
        line("D2/5 -/1 D2/2 A1/4 C2/2 D2/2", swing=swing, velocity=100),
        line("Bb1/5 -/1 Bb1/2 F2/4 D2/2 Bb1/2", swing=swing, velocity=100),
        line("C2/5 -/1 C2/2 G1/4 Bb1/2 C2/2", swing=swing, velocity=100),
    )
    comping = chords(changes, ((0.0, 1.6), (1.8, 0.5), (2.5, 1.4)), velocity=88)
    held = chords(turn, ((0.0, 3.8),), velocity=80)
    tune = _bars(
        line("C5/3 A4/1 F4/4 -/2 G4/2 A4/4", swing=swing, velocity=92),
        line("D5/3 C5/1 A4/6 -/2 F4/2 A4/2", swing=swing, velocity=92),
        line("Bb4/4 D5/2 F5/6 D5/2 C5/2", swing=swing, velocity=94),
        line("C5/3 Bb4/1 G4/4 E4/4 -/4", swing=swing, velocity=90),
    )
    lanterns = _bars(
        line("-/4 F5/4 A5/4 C6/4", velocity=70), line("-/2 A5/2 -/4 F5/8", velocity=66),
        line("-/4 D6/4 Bb5/4 F5/4", velocity=70), line("-/8 G5/4 E5/4", velocity=66),
    )  # fmt: skip
    return Song(
        title="Paper Lanterns",
        live=10,
        bounce="wav",
        tempo=84.0,
        root=5,
        mode="Major",
        sections=(Section("Intro", 0, 2), Section("Verse", 2, 4), Section("Hook", 6, 6), Section("Outro", 12, 2)),
        group_colors={"Kit": 26},
        scenes=("Loop A", "Loop B", "Break"),
        parts=(
            Part("Dusty Kit", "MIDI", "kit",
                 (*_blocks("Beat", drums, 1, (2, 3)), *_blocks("Beat Fill", fill, 1, (5, 1)),
                  *_blocks("Beat", drums, 1, (6, 5)), *_blocks("Beat Fill", fill, 1, (11, 1))),
                 26, "Kit", gain_db=-1.0, reverb=0.07, devices=("DrumGroupDevice", *_DRUM_BUS),
                 samples=("Kick Felt.wav", "Snare Paper.wav", "Hat Brushed.wav"),
                 session=(Clip("Beat", 0, 4, 4, drums), Clip("Beat Fill", 0, 4, 4, fill))),
            Part("Rim & Shaker", "MIDI", "kit", _blocks("Rim", rims, 1, (4, 2), (6, 6)), 27, "Kit", gain_db=-1.5,
                 pan=0.3, reverb=0.15, devices=("DrumGroupDevice",), samples=("Rim Wood.wav", "Shaker Rice.wav")),
            Part("Upright", "MIDI", "round_bass", _blocks("Walk", walk, 4, (2, 4), (6, 6)), 9, gain_db=-9.5,
                 ducking=0.35, devices=("OriginalSimpler", "Eq8"), samples=("Upright F2.wav",),
                 session=(Clip("Walk", 0, 16, 16, walk),)),
            Part("Electric Keys", "MIDI", "keys",
                 (*_blocks("Held", held, 4, (0, 2)), *_blocks("Comping", comping, 4, (2, 4), (6, 6)),
                  *_blocks("Held", held, 4, (12, 2))),
                 11, gain_db=-10.5, pan=-0.12, reverb=0.22, ducking=0.15, devices=("LoungeLizard", "AutoFilter"),
                 plugins=(Plugin("Halide Tape", "AU"), Plugin("Lantern Chorus", "AU")),
                 sweep=((0, 700), (beat_of(2), 3200), (beat_of(6), 8200), (beat_of(12), 6000), (beat_of(14), 500)),
                 session=(Clip("Comping", 0, 16, 16, comping), Clip("Held", 0, 16, 16, held))),
            Part("Reed Lead", "MIDI", "lead", _blocks("Tune", tune, 4, (6, 6)), 13, gain_db=-11.0, pan=0.1, reverb=0.3,
                 echo=0.2, devices=("Collision", "AutoFilter"), session=(Clip("Tune", 0, 16, 16, tune),)),
            Part("Lantern Bell", "MIDI", "bell", _blocks("Lanterns", lanterns, 4, (0, 6), (9, 5)), 12, gain_db=-9.0,
                 pan=-0.3, reverb=0.45, echo=0.25, devices=("Operator", "Reverb"),
                 session=(Clip("Lanterns", 0, 16, 16, lanterns),)),
            Part("Record Dust", "Audio", "dust", _audio("Record Dust", "Record Dust.wav", (0, 14)), 2, gain_db=-5.0,
                 devices=("Eq8",)),
        ),
    )  # fmt: skip


def _night_courier() -> Song:
    """174 BPM, F sharp minor: drum and bass, a broken beat over a beating bass, kept in the shape of an old set."""
    changes = "F#3+A3+C#4+E4 D3+F#3+A3+C#4 A3+C#4+E4+B4 E3+G#3+B3+C#4"
    beat = _together(
        steps("X.........x.....", KICK, velocity=112),
        steps("....X.......X...", SNARE, velocity=104),
        steps("x.x.x.x.x.x.x.x.", HAT, velocity=74),
        steps(".......o.o.....o", SNARE, velocity=64),
    )
    turnaround = _together(
        steps("X.........x...x.", KICK, velocity=112),
        steps("....X..o.o..X.xX", SNARE, velocity=100),
        steps("x.x.x.x.x.x.x.x.", HAT, velocity=74),
    )
    phrase = _bars(beat, beat, beat, turnaround)
    tops = _together(steps("..x...x...x...x.", OPEN_HAT, velocity=62), steps("xoxoxoxoxoxoxoxo", SHAKER, velocity=58))
    low = _bars(
        line("F#2/6 F#2/2 -/2 F#2/4 E2/2", velocity=104), line("D2/6 D2/2 -/2 D2/4 C#2/2", velocity=104),
        line("A1/6 A1/2 -/2 A1/4 B1/2", velocity=104), line("E2/6 E2/2 -/2 E2/2 G#2/2 E2/2", velocity=104),
    )  # fmt: skip
    motif = _bars(
        line("C#5/4 F#5/4 E5/4 C#5/4", velocity=86), line("A4/8 C#5/4 D5/4", velocity=84),
        line("E5/4 C#5/4 B4/4 A4/4", velocity=86), line("G#4/8 B4/4 C#5/4", velocity=84),
    )  # fmt: skip
    call = _bars(
        line("F#5/6 E5/2 C#5/8", velocity=98), line("-/4 A4/4 B4/4 C#5/4", velocity=96),
        line("E5/6 F#5/2 C#5/4 B4/4", velocity=98), line("G#4/8 -/4 B4/2 C#5/2", velocity=96),
    )  # fmt: skip
    jabs = chords(changes, ((0.75, 0.3), (2.5, 0.4)), velocity=84)
    crash = (Note(0, 1, CRASH, 92),)
    return Song(
        title="Night Courier",
        live=8,
        bounce="flac",
        tempo=174.0,
        root=6,
        mode="Minor",
        sections=(Section("Intro", 0, 4), Section("Build", 4, 8), Section("Drop", 12, 12), Section("Outro", 24, 4)),
        group_colors={"Breaks": 1, "Low End": 5},
        scenes=("One", "Two"),
        parts=(
            Part("Break", "MIDI", "kit", _blocks("Break", phrase, 4, (12, 12), (24, 2)), 1, "Breaks", gain_db=-2.0,
                 reverb=0.05, devices=("DrumGroupDevice", "Compressor2", "Saturator"),
                 samples=("Kick Courier.wav", "Snare Crack.wav", "Hat Thin.wav")),
            Part("Tops", "MIDI", "kit", _blocks("Tops", tops, 1, (8, 4), (12, 12), (24, 3)), 1, "Breaks",
                 gain_db=-3.0, pan=0.18, devices=("DrumGroupDevice",), samples=("Hat Sizzle.wav", "Shaker Fine.wav")),
            Part("Crash", "MIDI", "kit", _blocks("Crash", crash, 4, (12, 4), (20, 4)), 1, "Breaks", gain_db=-10.0,
                 pan=-0.2, reverb=0.2, devices=("OriginalSimpler",), samples=("Crash Dark.wav",)),
            Part("Reese", "MIDI", "reese", _blocks("Reese Line", low, 4, (12, 12)), 5, "Low End", gain_db=-8.5,
                 ducking=0.6, devices=("UltraAnalog", "AutoFilter", "Compressor2"),
                 plugins=(Plugin("Courier Drive", "VST2"),),
                 sweep=((0, 1400), (beat_of(12), 1400), (beat_of(16), 5200), (beat_of(20), 1800), (beat_of(24), 7000))),
            Part("Sub", "MIDI", "round_bass", _blocks("Sub Long", _bars(*(line(f"{r}/15 -/1") for r in
                 ("F#2", "D2", "A1", "E2"))), 4, (4, 8)), 5, "Low End", gain_db=-12.0, devices=("Operator",)),
            Part("Night Pad", "MIDI", "pad", _blocks("Pad Changes", chords(changes), 4, (0, 28)), 9, gain_db=-13.0,
                 reverb=0.4, ducking=0.5, devices=("Operator", "AutoFilter", "Chorus"),
                 sweep=((0, 500), (beat_of(12), 5000), (beat_of(24), 4000), (beat_of(28), 300))),
            Part("Street Pluck", "MIDI", "pluck", _blocks("Motif", motif, 4, (2, 10), (24, 4)), 10, gain_db=-7.0,
                 pan=-0.15, reverb=0.35, echo=0.3, devices=("Operator", "AutoFilter"),
                 sweep=((0, 700), (beat_of(12) - 0.01, 9000), (beat_of(24), 3500), (beat_of(28), 600))),
            Part("Stabs", "MIDI", "stab", _blocks("Jabs", jabs, 4, (16, 8)), 11, gain_db=-14.5, pan=0.2, reverb=0.25,
                 echo=0.18, ducking=0.3, devices=("UltraAnalog", "Redux")),
            Part("Call", "MIDI", "lead", _blocks("Call", call, 4, (12, 12)), 12, gain_db=-9.0, reverb=0.3, echo=0.25,
                 ducking=0.2, devices=("InstrumentGroupDevice", "Reverb"), plugins=(Plugin("Lantern Chorus", "VST2"),)),
            Part("Riser", "Audio", "riser", _audio("Riser", "Riser Courier 174.wav", (8, 4)), 2, gain_db=-7.0,
                 reverb=0.2, devices=("AutoFilter",)),
            Part("Impact", "Audio", "impact", _audio("Impact", "Impact Night.wav", (12, 4), (24, 4)), 2, gain_db=-9.0,
                 reverb=0.25),
        ),
    )  # fmt: skip


def _blocks(name: str, notes: tuple[Note, ...], loop_bars: int, *spans: tuple[int, int]) -> tuple[Clip, ...]:
    """Return the same pattern as clips at each (bar, bars)."""
    return tuple(Clip(name, beat_of(bar), beat_of(bars), beat_of(loop_bars), notes) for bar, bars in spans)


def _audio(name: str, sample: str, *spans: tuple[int, int]) -> tuple[Clip, ...]:
    """Audio clips at each (bar, bars); the sample sounds as long as its clip."""
    return tuple(
        Clip(name, beat_of(bar), beat_of(bars), beat_of(bars), (Note(0, beat_of(bars), 60, 110),), sample)
        for bar, bars in spans
    )


def _bars(*bars: tuple[Note, ...]) -> tuple[Note, ...]:
    """Bars one after the other."""
    return tuple(
        Note(beat_of(number) + note.start, note.length, note.pitch, note.velocity)
        for number, notes in enumerate(bars)
        for note in notes
    )


def _together(*layers: tuple[Note, ...]) -> tuple[Note, ...]:
    """Layers of the same bar as one pattern, by time and pitch; of two strokes of one drum at once, the louder."""
    strokes: dict[tuple[float, int], Note] = {}
    for note in (note for layer in layers for note in layer):
        known = strokes.get((note.start, note.pitch))
        if known is None or known.velocity < note.velocity:
            strokes[note.start, note.pitch] = note
    return tuple(strokes[place] for place in sorted(strokes))
