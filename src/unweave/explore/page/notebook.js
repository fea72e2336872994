// The explorer in a notebook: its page in a frame of its own, which cannot reach the notebook, and
// between the two nothing but messages to the kernel and back.

function render({ model, el }) {
  const frame = document.createElement("iframe");
  const view = Math.random().toString(36).slice(2);
  let own = model.get("state");
  frame.title = "unweave explore";
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  Object.assign(frame.style, { width: "100%", border: "0", height: `${model.get("height")}px` });

  const asked = ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    if (data.call !== "state") {
      model.send({ ...data, view });
      return;
    }
    own = data.body;
    model.set("state", own);
    model.save_changes();
  };
  const answered = (content, buffers = []) => {
    if (content.view !== view) return;
    if (content.call === "page") {
      frame.srcdoc = content.body;
      return;
    }
    const part = buffers[0];
    const bytes = part && part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength);
    frame.contentWindow?.postMessage({ ...content, bytes }, "*");
  };
  const load = () => model.send({ call: "page", view });
  const told = () => {
    if (model.get("state") !== own) load();
    own = model.get("state");
  };
  const sized = () => {
    frame.style.height = `${model.get("height")}px`;
  };

  addEventListener("message", asked);
  model.on("msg:custom", answered);
  model.on("change:state", told);
  model.on("change:height", sized);
  el.append(frame);
  load();
  return () => {
    removeEventListener("message", asked);
    model.off("msg:custom", answered);
    model.off("change:state", told);
    model.off("change:height", sized);
  };
}

export default { render };
