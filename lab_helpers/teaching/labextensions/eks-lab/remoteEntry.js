// A cell that is run while its notebook still opens waits for the kernel.
//
// JupyterLab 4.6 shows the cells before it has chosen the kernel. A cell that is run then asks "Select Kernel", or starts
// a kernel of its own beside the notebook's (the two end each other), or is silently dropped. Here every such run waits
// until the notebook has opened, and one start serves all. Facts: @jupyterlab/apputils/src/sessioncontext.tsx
// (startKernel, hasNoKernel), @jupyterlab/docregistry/src/context.ts (_populate), @jupyterlab/notebook/src/cellexecutor.ts.
//
// Written as what a bundler would make of it (webpack's module federation), so that nothing has to be built.
(() => {
  const runsWaitFor = session => {
    const initialize = session.initialize.bind(session);
    const startIfNecessary = session._startIfNecessary.bind(session);
    const start = session.startKernel.bind(session);
    let opened;
    const opening = new Promise(resolve => (opened = resolve));
    let asked = null;

    session.initialize = () => {
      const opens = initialize();
      opens.then(opened, opened);
      return opens;
    };
    // The opening's own start; true means: no kernel could be chosen, ask.
    session._startIfNecessary = async () => {
      await session.specsManager.ready;
      session.startKernel = start;
      const starts = startIfNecessary(); // calls startKernel before it returns
      session.startKernel = startForRun;
      return starts;
    };
    const startForRun = () => {
      asked ??= opening.then(() => (session.session?.kernel ? false : start())).finally(() => (asked = null));
      return asked;
    };
    session.startKernel = startForRun;
    // A kernel that is only on its way counts as none: the run then waits for it instead of being dropped.
    Object.defineProperty(session, "hasNoKernel", { get: () => !session.session?.kernel });
  };

  const plugin = {
    id: "eks-lab:runs-wait-for-the-kernel",
    autoStart: true,
    activate: app => {
      app.docRegistry.addWidgetExtension("Notebook", { createNew: (panel, context) => runsWaitFor(context.sessionContext) });
    }
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["eks-lab"] = { init: () => {}, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
