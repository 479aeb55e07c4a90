// The page: a photo, switches for what shall change, and the result. What computes is the engine, a
// module with the functions of service.js.

import { liveCopy, mayHaveCamera, openCamera, sizeOf } from "./photo.js";
import { commonWords, groupsOf, singleTargets, targetOf, wordsOf } from "./targets.js";

const element = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((found) => [found.id, found]),
);
const engine = await import(document.querySelector("script[data-engine]").dataset.engine);

const state = {
  models: [],
  model: null, // of state.models
  groups: [],
  direction: "", // entry point of a model without labels
  photo: null, // as the user gave it
  live: null, // what is sent while switches and sliders move
  faces: [], // readings
  face: 0, // place of the chosen one
  framing: "", // "all": faces in the photo; "": its centre square
  wants: {},
  opening: 0, // number of the newest photo
};

const THUMBNAILS_AT_ONCE = 4;

// ---- start ----

async function start() {
  complain("");
  try {
    state.models = await engine.connect();
  } catch (problem) {
    return report(problem);
  }
  element["key-form"].hidden = true;
  element.privacy.textContent = engine.privacy;
  for (const [place, { name }] of state.models.entries()) {
    element.model.append(new Option(name, String(place)));
  }
  element["model-field"].hidden = state.models.length < 2;
  chooseModel(0);
  element.camera.hidden = !mayHaveCamera();
}

function chooseModel(place) {
  state.model = state.models[place];
  const { card, name } = state.model;
  state.groups = groupsOf(card);
  const directions = directionsOf(card);
  state.direction = state.groups.length ? "" : (directions[0] ?? "");
  element.where.textContent = `model ${name}`;
  const isUsable = state.groups.length > 0 || directions.length > 0;
  complain(isUsable ? "" : `The model ${name} does not change photos.`);
  showTargets(directions);
  if (state.photo) open(state.photo);
}

/** Entry points that take nothing but a photo. */
function directionsOf(card) {
  return Object.entries(card.entry_points)
    .filter(([, point]) => point.inputs.length === 1 && point.inputs[0].kind === "image")
    .filter(([, point]) => point.outputs[0].kind === "image")
    .map(([name]) => name)
    .sort();
}

// ---- the photo ----

async function open(photo) {
  const number = (state.opening += 1);
  const isOld = () => number !== state.opening;
  complain("");
  say("Reading the photo …");
  try {
    const live = await liveCopy(photo);
    const { faces, framing } = await readPhoto(live);
    if (isOld()) return;
    Object.assign(state, { photo, live, faces, framing, face: 0, wants: {} });
    stopComparing();
    element.strip.replaceChildren();
    await showBefore(isOld);
  } catch (problem) {
    if (!isOld()) report(problem);
    return;
  }
  if (isOld()) return;
  showPhoto();
  say(state.faces.length > 1 ? `${state.faces.length} faces. Choose one.` : "");
  update();
}

/** Faces where there are any and can be found, else the centre square. */
async function readPhoto(live) {
  if (engine.takesFaces && reads() && state.groups.length) {
    const faces = await findFaces(live);
    if (faces.length) return { faces, framing: "all" };
  }
  return { faces: await readSquare(live), framing: "" };
}

async function findFaces(live) {
  try {
    return await engine.read(live, { model: state.model.name, faces: "all" });
  } catch (problem) {
    if (problem.isMissing) return []; // no detector is installed
    throw problem;
  }
}

async function readSquare(live) {
  return reads() ? engine.read(live, { model: state.model.name }) : [];
}

function reads() {
  return "classify" in state.model.card.entry_points;
}

async function showBefore(isOld) {
  const isWhole = state.framing && (await sizeOf(state.live));
  const blob = isWhole || !state.groups.length ? state.live : await untouched();
  const size = state.groups.length ? await sizeOf(blob) : { width: 1, height: 1 };
  if (isOld()) return;
  element.stage.style.setProperty("--ratio", `${size.width} / ${size.height}`);
  show(element.before, blob, "The photo");
  element.before.style.objectFit = state.groups.length ? "fill" : "cover";
  showBoxes(size);
}

/** The photo as the result shows it: that at strength 0. */
function untouched() {
  const [first] = state.groups[0].names;
  return engine.translate(state.live, { ...place(), attrs: first, strength: 0 });
}

function showPhoto() {
  element.stage.classList.remove("empty");
  element.invitation.hidden = true;
  element.actions.hidden = false;
  element.controls.hidden = false;
  const hasChoice = state.framing || state.groups.length > 0;
  element.framing.hidden = !(engine.takesFaces && hasChoice && reads());
  for (const input of element.framing.querySelectorAll("input")) {
    input.checked = input.value === state.framing;
  }
  element["strength-field"].hidden = !state.groups.length;
  element["all-field"].hidden = !state.groups.length;
  showReading();
}

async function changeFraming(framing) {
  const number = (state.opening += 1);
  const isOld = () => number !== state.opening;
  complain("");
  try {
    const faces = framing ? await findFaces(state.live) : await readSquare(state.live);
    if (isOld()) return;
    if (framing && !faces.length) {
      complain("No face was found in the photo.");
    } else {
      Object.assign(state, { faces, framing, face: 0, wants: {} });
      await showBefore(isOld);
    }
  } catch (problem) {
    report(problem);
  }
  if (isOld()) return;
  showPhoto();
  update();
}

function showBoxes(size) {
  const several = state.framing && state.faces.length > 1;
  element.boxes.hidden = !several;
  element.boxes.replaceChildren();
  if (!several) return;
  for (const [number, { box }] of state.faces.entries()) {
    const label = document.createElement("label");
    const [left, top, right, bottom] = box;
    label.style.left = `${(100 * left) / size.width}%`;
    label.style.top = `${(100 * top) / size.height}%`;
    label.style.width = `${(100 * (right - left)) / size.width}%`;
    label.style.height = `${(100 * (bottom - top)) / size.height}%`;
    label.append(radio("face", number, number === state.face), document.createElement("span"));
    label.firstChild.ariaLabel = `Face ${number + 1}`;
    element.boxes.append(label);
  }
}

// ---- what shall change ----

function has() {
  return state.faces[state.face]?.labels ?? {};
}

function showTargets(directions) {
  const fieldsets = state.groups.map((group, place) => fieldsetOf(group, place));
  if (!state.groups.length && directions.length > 1) fieldsets.push(directionsField(directions));
  element.targets.replaceChildren(...fieldsets);
}

function fieldsetOf(group, place) {
  const isSeveral = state.model.card.labels.sets.length > 1;
  const kind = group.exclusive ? commonWords(group.names) : "Any of these";
  const { field, choices } = fieldset(isSeveral ? `${kind} (${group.set})` : kind);
  for (const name of group.names) {
    const input = group.exclusive ? radio(`group-${place}`, name) : checkbox(name);
    if (group.exclusive && !group.required) {
      input.addEventListener("click", () => switchOff(input, group));
    }
    choices.append(choice(input, wordsOf(name)));
  }
  return field;
}

function directionsField(directions) {
  const { field, choices } = fieldset("Direction");
  for (const name of directions) {
    choices.append(choice(radio("direction", name, name === state.direction), name));
  }
  return field;
}

function fieldset(title) {
  const field = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = title;
  const choices = document.createElement("div");
  choices.className = "choices";
  field.append(legend, choices);
  return { field, choices };
}

function choice(input, words) {
  const label = document.createElement("label");
  const text = document.createElement("span");
  text.textContent = words;
  label.append(input, text);
  return label;
}

function radio(name, value, checked = false) {
  return Object.assign(document.createElement("input"), { type: "radio", name, value, checked });
}

function checkbox(value) {
  return Object.assign(document.createElement("input"), { type: "checkbox", value });
}

/** A second click on what is on switches it off, where none need be on. */
function switchOff(input, group) {
  if (input.dataset.wasOn !== "true") return;
  input.checked = false;
  want(group, { [input.value]: false });
}

function want(group, changes) {
  const others = new Set(
    state.groups.filter((other) => other.set !== group.set).flatMap((other) => other.names),
  );
  for (const name of others) delete state.wants[name]; // a target has labels of one set
  Object.assign(state.wants, changes);
  showReading();
  update();
}

/** Set the switches to what is wanted, and mark what differs from the photo. */
function showReading() {
  const own = has();
  for (const input of element.targets.querySelectorAll("input")) {
    if (input.name === "direction") continue;
    const name = input.value;
    const isOn = state.wants[name] ?? own[name] ?? false;
    input.checked = isOn;
    input.dataset.wasOn = String(isOn);
    const isChanged = name in own && isOn !== own[name];
    input.parentElement.classList.toggle("changed", isChanged);
    input.ariaDescription = name in own ? `${own[name] ? "is" : "is not"} in the photo` : "";
  }
  element.reset.hidden = !state.groups.length || !attrs();
}

function attrs() {
  return targetOf(state.groups, has(), state.wants);
}

function place() {
  const { name } = state.model;
  return state.framing ? { model: name, faces: "all", face: state.face + 1 } : { model: name };
}

function wish() {
  if (!state.groups.length) return { ...place(), direction: state.direction };
  return { ...place(), attrs: attrs(), strength: element.strength.value };
}

// ---- the result ----

let isUpdating = false;
let isOutdated = false;

/** Show the result of the newest settings; those that were passed over while another result was
 * made are never asked for. */
async function update() {
  isOutdated = true;
  if (isUpdating || !state.live) return;
  isUpdating = true;
  while (isOutdated) {
    isOutdated = false;
    await updateOnce(state.opening);
  }
  isUpdating = false;
}

async function updateOnce(opening) {
  const asked = wish();
  if (state.groups.length && !asked.attrs) {
    stopComparing();
    return;
  }
  element.stage.ariaBusy = "true";
  try {
    const accept = state.framing ? "image/jpeg" : "image/png";
    const result = await engine.translate(state.live, { ...asked, accept });
    if (opening !== state.opening) return;
    complain("");
    show(element.after, result, `The photo changed to ${spoken(asked)}`);
    startComparing();
    if (!isOutdated) say(`Changed to ${spoken(asked)}.`);
  } catch (problem) {
    if (opening === state.opening) report(problem);
  } finally {
    element.stage.ariaBusy = "false";
  }
}

function spoken({ attrs, direction }) {
  if (!attrs) return direction;
  const words = attrs.split(",");
  return words.map((word) => wordsOf(word).replace(/^-/, "not ")).join(", ");
}

function startComparing() {
  element.compare.hidden = false;
  element.mark.hidden = false;
  element.download.hidden = false;
  showSplit();
}

function stopComparing() {
  element.after.hidden = true;
  element.compare.hidden = true;
  element.mark.hidden = true;
  element.download.hidden = true;
  element.stage.classList.remove("split");
}

function showSplit() {
  const share = Number(element.split.value);
  element.stage.style.setProperty("--split", `${share}%`);
  element.stage.classList.toggle("split", share > 0 && share < 100 && !element.after.hidden);
}

async function download() {
  element.download.disabled = true;
  say("Making the file …");
  try {
    const asked = wish();
    const file = await engine.translate(state.photo, asked);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = nameOf(asked, file.type);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`Saved as ${link.download}.`);
  } catch (problem) {
    report(problem);
  }
  element.download.disabled = false;
}

function nameOf(asked, type) {
  const stem = (state.photo.name ?? "photo").replace(/\.[^.]*$/, "");
  const ending = { "image/jpeg": "jpg", "image/webp": "webp" }[type] ?? "png";
  const change = (asked.attrs || asked.direction).replaceAll(",", "+").replaceAll("-", "not-");
  return `${stem}-${change}.${ending}`;
}

// ---- every change ----

async function showAll() {
  const opening = state.opening;
  const targets = singleTargets(state.groups, has());
  const items = targets.map(thumbnail);
  element.strip.replaceChildren(...items.map(({ item }) => item));
  const waiting = items.map(({ fill }) => fill);
  const work = async () => {
    for (let fill = waiting.shift(); fill && opening === state.opening; fill = waiting.shift()) {
      await fill();
    }
  };
  await Promise.all(Array.from({ length: THUMBNAILS_AT_ONCE }, work));
}

function thumbnail({ name, on, text }) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const image = Object.assign(document.createElement("img"), { alt: "" });
  const words = document.createElement("span");
  words.textContent = on ? wordsOf(name) : `not ${wordsOf(name)}`;
  button.append(image, words);
  item.append(button);
  button.addEventListener("click", () => {
    state.wants = {};
    const group = state.groups.find((each) => each.names.includes(name));
    const rivals = group.exclusive ? group.names.map((other) => [other, false]) : [];
    want(group, { ...Object.fromEntries(rivals), [name]: on });
  });
  const fill = async () => {
    try {
      const options = { ...place(), attrs: text, accept: "image/jpeg" };
      show(image, await engine.translate(state.live, options), "");
    } catch (problem) {
      report(problem);
    }
  };
  return { item, fill };
}

// ---- words ----

function show(image, blob, words) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  image.alt = words;
  image.hidden = false;
}

function say(words) {
  element.status.textContent = words;
}

function complain(words) {
  element.problem.textContent = words;
}

function report(problem) {
  if (problem.name === "AbortError") return;
  say("");
  element["key-form"].hidden = !problem.needsKey;
  if (problem.needsKey) element.key.focus();
  complain(problem.message.replaceAll("`", "").replace(/^image 1\b/, "This file"));
}

// ---- events ----

function take(files) {
  const [photo] = files ?? [];
  if (photo && state.model) open(photo);
}

function takeChosen() {
  if (!state.model) return; // it is taken when the model is there
  take(element.file.files);
  element.file.value = ""; // so that the same file can be chosen again
}

element.file.addEventListener("change", takeChosen);
element.other.addEventListener("click", () => element.file.click());
element.split.addEventListener("input", showSplit);
element.strength.addEventListener("input", () => {
  element["strength-value"].textContent = Number(element.strength.value).toString();
  update();
});
element.download.addEventListener("click", download);
element.all.addEventListener("click", showAll);
element.reset.addEventListener("click", () => {
  state.wants = {};
  showReading();
  update();
});
element.model.addEventListener("change", () => chooseModel(Number(element.model.value)));
element.targets.addEventListener("change", ({ target }) => {
  if (target.name === "direction") {
    state.direction = target.value;
    return update();
  }
  const group = state.groups.find(({ names }) => names.includes(target.value));
  const rivals = group.exclusive ? group.names.map((name) => [name, false]) : [];
  return want(group, { ...Object.fromEntries(rivals), [target.value]: target.checked });
});
element.boxes.addEventListener("change", ({ target }) => {
  state.face = Number(target.value);
  state.wants = {};
  element.strip.replaceChildren();
  showReading();
  update();
});
element.framing.addEventListener("change", ({ target }) => changeFraming(target.value));
element["key-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  engine.setKey(element.key.value);
  start().then(takeChosen);
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element.stage.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData?.files));

let camera = null;
element.camera.addEventListener("click", async () => {
  try {
    camera = await openCamera(element.video);
  } catch {
    return complain("The camera cannot be used.");
  }
  complain("");
  showCamera(true);
  return element.shoot.focus();
});
element.shoot.addEventListener("click", async () => {
  const photo = await camera.take();
  showCamera(false);
  open(photo);
});
element["stop-camera"].addEventListener("click", () => {
  camera.close();
  showCamera(false);
  element.camera.focus();
});

function showCamera(isOn) {
  element.video.hidden = !isOn;
  element.shutter.hidden = !isOn;
  element.invitation.hidden = isOn;
}

await start();
takeChosen();
