// Asks the server that this page came from for news, every two seconds, until it is gone.
async function news() {
  const address = new URL(location.href);
  address.searchParams.set("part", "content");
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    const main = document.querySelector("main");
    if (main.dataset.text !== text) {
      main.dataset.text = text;
      main.innerHTML = text;
      if (typeof plane === "function") main.querySelectorAll('[data-part="plane"]').forEach(plane);
    }
    setTimeout(news, 2000);
  } catch {
    document.querySelector("main").insertAdjacentHTML("afterbegin", '<p class="warning" role="status">The training is over or was stopped; this is its last state.</p>');
  }
}
setTimeout(news, 2000);
