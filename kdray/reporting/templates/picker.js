  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  const fits = ({ values }, { metric, side, limit }) =>
    metric in values && (side === "max" ? values[metric] <= limit : values[metric] >= limit);

  // The rule of `best_student`: under a limit of cost the best that fits, else the smallest.
  const pick = ({ students, quality, unbounded }, given) => {
    if (!given.length) return students.find(({ id }) => id === unbounded);
    const order = given.some(({ costs }) => costs)
      ? ({ values, id }) => [-values[quality], values.size_mb, id]
      : ({ values, id }) => [values.size_mb, -values[quality], id];
    const fitting = students.filter((student) => given.every((bound) => fits(student, bound)));
    return fitting.sort((a, b) => {
      const [one, other] = [order(a), order(b)];
      return one.map((part, n) => compare(part, other[n])).find((sign) => sign) || 0;
    })[0];
  };

  const tell = (student, given) => {
    const [said, command] = ["picked", "command"].map((id) => document.getElementById(id));
    picked = student ? student.id : null;
    command.hidden = !student;
    if (student) {
      const name = document.createElement("strong");
      name.textContent = `Trial ${student.id}`;
      said.replaceChildren(name, `: ${student.says}.`);
      const bounds = given.map(({ option, limit, end }) => ` ${option}${limit}${end}`).join("");
      command.textContent = `${student.command}${bounds} --output student`;
    } else {
      said.textContent = given.length
        ? "No student on the front fits. Give way in one of the limits."
        : "Set a limit: each sweep has a knee of its own, and none is that of all.";
    }
    if (drawn.has("front")) draw("front");
  };

  const setUpPicker = (picker) => {
    const rows = [...document.querySelectorAll(".bound")];
    const bounds = picker.bounds.map((bound, n) => ({
      ...bound,
      number: rows[n].querySelector("[type=number]"),
      range: rows[n].querySelector("[type=range]"),
    }));
    const update = () => {
      const given = bounds
        .filter(({ number }) => number.value.trim() !== "" && Number.isFinite(Number(number.value)))
        .map((bound) => ({ ...bound, limit: Number(bound.number.value) }));
      tell(pick(picker, given), given);
    };
    for (const { number, range, side, stops } of bounds) {
      // Where everything fits, a slider sets no limit: at the right of a largest, the left of a least.
      const free = side === "max" ? stops.length : 0;
      const follow = () => {
        const limit = Number(number.value);
        const place = side === "max"
          ? stops.findIndex((stop) => Number(stop) >= limit)
          : stops.findLastIndex((stop) => Number(stop) <= limit) + 1;
        range.value = number.value === "" ? free : place < 0 ? stops.length : place;
      };
      range.addEventListener("input", () => {
        const at = Number(range.value);
        number.value = at === free ? "" : stops[side === "max" ? at : at - 1];
        update();
      });
      number.addEventListener("input", () => { follow(); update(); });
      follow();
    }
    update();
  };
  if (page.picker) setUpPicker(page.picker);
