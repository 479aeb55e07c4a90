// Switches of labels, and the targets that they stand for. Labels and their groups are the model
// card's; a target is written as people type it: "Blond_Hair,-Male".

/** The groups of switches of a model: each exclusive group, each set of domains, then the rest. */
export function groupsOf(card) {
  const groups = [];
  for (const set of card.labels.sets) {
    if (set.kind === "onehot") {
      groups.push({ set: set.name, names: set.names, exclusive: true, required: true });
      continue;
    }
    const grouped = new Set();
    for (const names of set.exclusive_groups) {
      const own = names.filter((name) => !grouped.has(name));
      own.forEach((name) => grouped.add(name));
      groups.push({ set: set.name, names: own, exclusive: true, required: false });
    }
    const names = set.names.filter((name) => !grouped.has(name));
    if (names.length) groups.push({ set: set.name, names, exclusive: false, required: false });
  }
  return groups;
}

/** The target that leads from what a photo has to what is switched on; "" where nothing differs.
 *
 * @param {object[]} groups as `groupsOf` gives them
 * @param {Object<string, boolean>} has what the classifier read; {} where nothing was read
 * @param {Object<string, boolean>} wants what is switched on; names without an entry stay
 */
export function targetOf(groups, has, wants) {
  const words = [];
  for (const group of groups) {
    const changed = group.names.filter((name) => name in wants && wants[name] !== has[name]);
    const on = changed.find((name) => wants[name]);
    if (group.exclusive && on) words.push(on); // which switches its rivals off
    else if (!group.required) words.push(...changed.map((name) => (wants[name] ? name : `-${name}`)));
  }
  return words.join(",");
}

/** One target per label, like a model's `single_targets`: exclusive ones set, others flipped. */
export function singleTargets(groups, has) {
  const found = [];
  for (const group of groups) {
    for (const name of group.names) {
      if (group.exclusive && has[name]) continue;
      const on = group.exclusive || !has[name];
      found.push({ name, on, text: on ? name : `-${name}` });
    }
  }
  return found;
}

/** What exclusive labels have in common: "Hair" of black, blond and brown hair. */
export function commonWords(names) {
  const [first, ...others] = names.map((name) => wordsOf(name).split(" "));
  const common = first.filter((word) => others.every((words) => words.includes(word)));
  const words = others.length ? common.join(" ") : "";
  return words ? words[0].toUpperCase() + words.slice(1) : "One of these";
}

/** A label's name in words. */
export function wordsOf(name) {
  return name.replaceAll("_", " ").toLowerCase();
}
